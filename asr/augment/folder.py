"""A folder of audio files to draw from, such as MUSAN's noises or a set of room responses."""

import os
from pathlib import Path

import numpy as np

_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")


class AudioFolder:
    """The audio files below a folder, in the order of their paths: listed once.

    Args:
        option: the augmentation that it is for, as in `augment=[option]`.
        folder: where; None stands for one that was not named.

    Raises:
        ValueError: no folder was named, there is none, or it holds no audio files.
    """

    def __init__(self, option: str, folder: str | None) -> None:
        name = f"augment.{option}.folder"
        if folder is None:
            raise ValueError(f"{name} is not set; name a folder of audio files: {name}=FOLDER")
        if not Path(folder).is_dir():
            raise ValueError(f"{name}={folder}: there is no such folder; is the path right?")
        self.paths = sorted(
            os.path.join(place, file)
            for place, _, files in os.walk(folder)
            for file in files
            if file.lower().endswith(_SUFFIXES) and not file.startswith(".")
        )
        if not self.paths:
            raise ValueError(
                f"{name}={folder}: no audio files in it or below it ({', '.join(_SUFFIXES)})"
            )

    def choose(self, rng: np.random.Generator) -> str:
        """One of the paths, all as likely."""
        return self.paths[rng.integers(len(self.paths))]
