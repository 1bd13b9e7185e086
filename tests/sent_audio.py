"""What schemathesis sends as audio: recordings, so that refusing what fits the schema is a fault.

Its command line takes this module as SCHEMATHESIS_HOOKS.
"""

import numpy as np
import schemathesis
from hypothesis import strategies as st
from serving import recorded, wav
from sounds import talk


def _noise(seconds: float, rate: int, channels: int, seed: int) -> bytes:
    samples = np.random.default_rng(seed).normal(0, 0.1, (round(seconds * rate), channels))
    return wav(samples, rate)


_WAVS = st.builds(
    _noise,
    st.floats(0.01, 2),
    st.sampled_from([8000, 16000, 22050, 48000]),
    st.integers(1, 3),
    st.integers(0, 9),
)
_OF_BROWSERS = st.sampled_from(
    [recorded(talk(24000), "webm", "libopus"), recorded(talk(24000), "mp4", "aac")]
)
schemathesis.openapi.media_type("audio/*", _WAVS | _OF_BROWSERS)
