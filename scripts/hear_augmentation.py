"""Hear and see each augmentation on sentences of the embedded corpus's voices.

    python scripts/hear_augmentation.py FOLDER

Writes a wav file for each augmentation, and the picture of docs/augmentation.md.
"""

import io
import re
import sys
from pathlib import Path

import matplotlib
import numpy as np
import soundfile
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from omegaconf import OmegaConf
from PIL import Image

from asr.augment.base import Augment, Samples, Scene
from asr.core.padded import Padded
from asr.corpus.grammar import sentences
from asr.corpus.spoken import SAMPLE_RATE, Style, speak
from asr.wiring.build import build

CONFIGS = Path(__file__).parents[1] / "configs"
OTHERS = sentences(8, seed=3)
LOUD = {"probability": 1.0, "snr_low_db": 8.0, "snr_high_db": 8.0}
ROOM = {
    "probability": 1.0,
    "rt60_low": 0.7,
    "rt60_high": 0.7,
    "drr_low_db": 0.0,
    "drr_high_db": 0.0,
}
WAYS = {  # title: configuration, options, seed
    "speed: 0.9": ("speed", {"factors": [0.9]}, 0),
    "noise: white, 8 dB": ("noise", LOUD, 1),
    "noise: pink, 8 dB": ("noise", LOUD, 0),
    "babble: 3 to 7 other utterances, 8 dB": ("babble", LOUD, 0),
    "reverb: 0.7 s, direct to reflected 0 dB": ("reverb", ROOM, 0),
    "codec: g711, a landline": ("codec", {"probability": 1.0, "kinds": ["g711"]}, 0),
    "codec: gsm, a mobile phone": ("codec", {"probability": 1.0, "kinds": ["gsm"]}, 0),
    "codec: opus, 7 kbit/s": ("codec", {"probability": 1.0, "kinds": ["opus"]}, 0),
}
MASKS = {"spec_augment: mild": "mild", "spec_augment: strong": "strong",
         "spec_augment: adaptive": "adaptive"}  # fmt: skip


def node(group: str, name: str) -> dict[str, object]:
    """What a YAML holds."""
    found = OmegaConf.to_container(OmegaConf.load(CONFIGS / group / f"{name}.yaml"))
    return found[name] if group == "augment" else found


def spoken(sentence: str, style: Style) -> Samples:
    """A sentence at a common level."""
    speech = speak(sentence, style)
    return (speech * 0.3 / np.abs(speech).max()).astype(np.float32)


def other(count: int, rng: np.random.Generator) -> Samples:
    """Somebody else."""
    voice = Style("en-US", float(rng.uniform(0.8, 1.3)), 1.0)
    return spoken(OTHERS[rng.integers(len(OTHERS))], voice)[:count]


def main() -> None:
    """Speak, change, write, draw."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    clean = spoken(sentences(1, seed=1)[0], Style("en-GB", 1.0, 1.0))
    sounds = {"as spoken": clean}
    for title, (name, options, seed) in WAYS.items():
        augment: Augment = build(node("augment", name) | options)
        rng = np.random.default_rng(seed)
        scene = Scene(SAMPLE_RATE, float(augment.stretch(1, rng)[0]), other)
        sounds[title] = augment(clean, rng, scene)
    for title, sound in sounds.items():
        file = re.sub("[^a-z0-9]+", "-", title.lower()) + ".wav"
        soundfile.write(folder / file, sound / max(1.0, np.abs(sound).max()), SAMPLE_RATE)
    extractor = build(node("features", "log_mel"))
    pictures = {
        title: extractor(Padded.stack([torch.from_numpy(sound)])).values[0].numpy()
        for title, sound in sounds.items()
    }
    plain = pictures["as spoken"]
    for title, name in MASKS.items():
        batch = Padded.stack([torch.from_numpy(plain)])
        masked = build(node("spec_augment", name))(batch, torch.tensor([4])).values[0].numpy()
        pictures[title] = np.ma.masked_array(masked, mask=masked != plain)
    draw(pictures, folder / "augmentation.png")


def draw(pictures: dict[str, NDArray[np.float32]], path: Path) -> None:
    """Features under each other, in two columns; masks are white."""
    colours = matplotlib.colormaps["magma"].with_extremes(bad="white")
    low, high = np.percentile(pictures["as spoken"], [5, 99.5])
    longest = max(map(len, pictures.values())) / 100
    figure = Figure(figsize=(11, 1.35 * len(pictures) / 2 + 0.4), layout="constrained")
    grid = figure.subplots(-(-len(pictures) // 2), 2, sharex=True, sharey=True)
    for axes, (title, features) in zip(grid.flat, pictures.items(), strict=True):
        axes.imshow(
            features.T, origin="lower", aspect="auto", cmap=colours, vmin=low, vmax=high,
            extent=(0, len(features) / 100, 0, features.shape[1]),
        )  # fmt: skip
        axes.set_title(title, loc="left", fontsize=9)
        axes.set_facecolor("0.8")
        axes.set_yticks([])
    grid[0, 0].set_xlim(0, longest)
    for axes in grid[-1]:
        axes.set_xlabel("seconds")
    with io.BytesIO() as drawn:
        figure.savefig(drawn, dpi=90)
        Image.open(drawn).convert("RGB").quantize(48).save(path, optimize=True)  # noise: 1 MB else


if __name__ == "__main__":
    main()
