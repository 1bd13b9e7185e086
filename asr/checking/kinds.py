"""What can be wrong with an utterance, in words: the kinds of findings and how to mend them."""

from collections.abc import Iterable
from typing import NamedTuple


class Kind(NamedTuple):
    """One kind of finding.

    title: what is wrong, as the table says it. mend: what to do about it.
    train_only: it speaks against training on an utterance, not against scoring on it, so that
        cleaning leaves held-out sets as they are.
    """

    title: str
    mend: str
    train_only: bool = False


KINDS = {
    "unreadable": Kind(
        "the audio is missing, truncated or damaged",
        "copy or download the file again, or mend its path",
    ),
    "duration": Kind(
        "the duration reaches beyond the audio's end",
        "write the audio's own length; asr.prepare corpus=table measures it",
    ),
    "cut": Kind(
        "the audio goes on after the duration: only its beginning is read",
        "write the audio's own length, or the offsets of all its utterances",
    ),
    "silence": Kind("nothing is said", "record it again, or look for the right file"),
    "empty": Kind("the transcript is empty", "transcribe it, or leave it out"),
    "outside_alphabet": Kind(
        "the transcript holds characters that are not in the alphabet",
        "normalise the text as that of training (asr.prepare text.case=... text.punctuation=...)",
        train_only=True,
    ),
    "rare_character": Kind(
        "the transcript holds a character that is hardly ever trained",
        "is it a typing mistake? Each character of training becomes one of the alphabet",
    ),
    "speaking_rate": Kind(
        "too many or too few characters for what is heard",
        "listen: the transcript is probably of other speech, or the speech is cut or repeated",
    ),
    "infeasible": Kind(
        "the model has too few output frames for the transcript",
        "mend the transcript or the audio, or take a model of smaller stride",
        train_only=True,
    ),
    "leak": Kind(
        "the same audio is trained on and held out",
        "leave it out of training",
        train_only=True,
    ),
    "contradiction": Kind(
        "the same audio with different transcripts",
        "listen: at most one of them is right",
        train_only=True,
    ),
    "duplicate": Kind(
        "the same audio and transcript once more",
        "leave one of them out, unless it is meant to weigh more",
        train_only=True,
    ),
    "clipping": Kind(
        "the peaks are cut off", "record it at a lower level; training on some of it does no harm"
    ),
    "dc_offset": Kind(
        "the samples are not centred on zero",
        "filter it: sox IN OUT highpass 20; features hardly see it",
    ),
    "sample_rate": Kind(
        "the file's rate is not the model's: it is resampled at every load",
        "convert it once; a lower rate lacks the upper band, whatever is done",
    ),
    "speaker_overlap": Kind(
        "its speaker is trained on and held out",
        "split by speaker, or the WER says little about new speakers",
        train_only=True,
    ),
    "same_text": Kind(
        "its sentence is trained on and held out",
        "split by sentence, or the WER says little about new sentences",
        train_only=True,
    ),
}


def check_kinds(names: Iterable[str]) -> tuple[str, ...]:
    """The names, if each is a kind; raises ValueError with the kinds that there are."""
    names = tuple(names)
    for name in names:
        if name not in KINDS:
            raise ValueError(
                f"leave_out: there is no finding called {name!r}; choose among {', '.join(KINDS)}"
            )
    return names
