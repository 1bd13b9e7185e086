# The program in a container, from the pins of constraints.txt.
#
#     docker build -t asr .                                      # CPUs
#     docker build -t asr --build-arg TORCH=cu130 .              # NVIDIA GPUs, CUDA 13.0
#     docker run --rm -v "$PWD:/speech" --user "$(id -u):$(id -g)" asr asr.prepare corpus=tones
#     docker run --rm -v "$PWD:/speech" --user "$(id -u):$(id -g)" --gpus all --ipc=host asr asr.train ...
#
# data/ and runs/ come to lie in the folder that is mounted at /speech. Loader processes hand batches
# over in shared memory, of which a container has little unless --ipc=host or --shm-size says so.
#
# NOT BUILT YET: it was written where no Docker runs. tests/contract/test_container.py checks what
# can be checked without one.
ARG PYTHON=3.12
FROM python:${PYTHON}-slim-bookworm

# Which build of torch: a folder of PyTorch's index. All else comes from PyPI.
ARG TORCH=cpu

# Any user may run it (--user): caches need a place that everybody may write to.
ENV HOME=/var/cache/asr PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN mkdir --mode=1777 /var/cache/asr

# The pins first, so that a change of the program installs nothing anew.
WORKDIR /opt/asr
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN mkdir asr \
    && touch asr/__init__.py \
    && python -m pip install -c constraints.txt \
       --extra-index-url "https://download.pytorch.org/whl/${TORCH}" -e .
COPY asr asr
COPY configs configs
RUN python -m compileall -q asr

WORKDIR /speech
USER 1000
ENTRYPOINT ["python", "-m"]
CMD ["asr"]
