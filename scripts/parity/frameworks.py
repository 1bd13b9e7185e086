"""What TensorFlow, Keras and optax make of the same CTC batches, written down as text.

Runs in its own environment (`requirements.txt`), which knows neither torch nor this program;
`compare.py` then holds `asr.ctc.loss` against it. The file has the inputs too, as the rounded
numbers that the frameworks were given, so that it stands alone.

    python scripts/parity/frameworks.py OUTPUT.json

Symbols are numbered as in the program: the blank is 0. A framework that wants the blank last gets
the columns moved, and tokens one lower.
"""

import importlib.metadata
import json
import os
import platform
import sys
from pathlib import Path

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS="0", KERAS_BACKEND="tensorflow")

import jax.numpy as jnp
import keras
import numpy as np
import optax
import tensorflow as tf

# Keras's older loss and decoder: `tf.keras.backend` is the public way left to them.
from tensorflow.keras.backend import ctc_batch_cost, ctc_decode

SEED = 2026
LENGTHS = np.array([12, 9, 7, 5])
# Repeated characters; none at all; and one that needs all of its frames, U + repeats.
TOKENS = [[1, 2, 2, 3], [4, 4, 5], [], [3, 3, 1, 4]]
VOCABULARY = 6

SYMBOLS = "aent "  # of the little model; its blank comes after them
WORDS = ["a", "an", "ant", "at", "eat", "neat", "net", "tan", "tea", "tee", "ten", "tenet"]
TEXTS = [t for t in (*WORDS, *(f"{a} {b}" for a in WORDS for b in WORDS)) if 2 <= len(t) <= 5]
FRAMES = 20  # five letters of at most four frames


# Losses: (B, T, V) blank first, (B,) frames, (B, U) tokens, (B,) tokens -> (B,) nats.


def tf_loss(values, lengths, tokens, counts):
    """`tf.nn.ctc_loss`, asked for this program's order."""
    return tf.nn.ctc_loss(tokens, values, counts, lengths, logits_time_major=False, blank_index=0)


def tf_loss_blank_last(values, lengths, tokens, counts):
    """`tf.nn.ctc_loss`, time first and blank last."""
    values = blank_last(values).swapaxes(0, 1)  # (T, B, V)
    return tf.nn.ctc_loss(np.maximum(tokens - 1, 0), values, counts, lengths, blank_index=-1)


def tf_v1_loss(values, lengths, tokens, counts):
    """`tf.compat.v1.nn.ctc_loss`: logits, time first, blank last, sparse labels."""
    labels = tf.RaggedTensor.from_tensor(tf.cast(tokens - 1, tf.int32), lengths=counts).to_sparse()
    return tf.compat.v1.nn.ctc_loss(labels, blank_last(values).swapaxes(0, 1), lengths)


def keras_loss(values, lengths, tokens, counts):
    """`keras.ops.ctc_loss`: logits, blank 0."""
    return keras.ops.ctc_loss(tokens, values, counts, lengths, mask_index=0)


def optax_loss(values, lengths, tokens, counts):
    """`optax.ctc_loss`: logits, blank 0; a padding is 1 where nothing is."""
    no_frame = 1.0 * (np.arange(values.shape[1]) >= lengths[:, None])
    no_token = 1.0 * (np.arange(tokens.shape[1]) >= counts[:, None])
    return optax.ctc_loss(*map(jnp.asarray, (values, no_frame, tokens, no_token)))


def keras_batch_cost(values, lengths, tokens, counts):
    """`ctc_batch_cost`: probabilities, blank last; it gives log(p + 1e-7) to `tf_v1_loss`'s."""
    tokens = np.maximum(tokens - 1, 0)
    return ctc_batch_cost(tokens, blank_last(values), lengths[:, None], counts[:, None])[:, 0]


OF_LOGITS = {
    "tf.nn.ctc_loss": tf_loss,
    "tf.nn.ctc_loss, blank last": tf_loss_blank_last,
    "tf.compat.v1.nn.ctc_loss": tf_v1_loss,
    "keras.ops.ctc_loss": keras_loss,
    "optax.ctc_loss": optax_loss,
}
OF_POSTERIORS = {"ctc_batch_cost": keras_batch_cost}
# The kernel below both says: "Labels length is zero in batch 2".
REFUSE_EMPTY = [tf_v1_loss, keras_batch_cost]


def losses(function, values):
    """The four utterances' nats by one framework; None for one that it refuses."""
    kept = [i for i, tokens in enumerate(TOKENS) if tokens or function not in REFUSE_EMPTY]
    nats = function(np.float32(values[kept]), LENGTHS[kept], *padded([TOKENS[i] for i in kept]))
    return [dict(zip(kept, rounded(nats), strict=True)).get(i) for i in range(len(TOKENS))]


def record_batch(logits):
    """Every framework's losses for each thing it may be handed, and TensorFlow's gradient."""
    once, twice = softmax(logits), softmax(softmax(logits))
    logits_and_mistakes = {
        "logits": logits,
        "log_softmax(logits)": np.log(once),
        "softmax(logits)": once,
    }
    posteriors_and_mistake = {"softmax(logits)": once, "softmax(softmax(logits))": twice}
    cases = [(OF_LOGITS, logits_and_mistakes), (OF_POSTERIORS, posteriors_and_mistake)]
    variable = tf.Variable(logits, dtype=tf.float32)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(tf_loss(variable, LENGTHS, *padded(TOKENS)))
    gradient = tape.gradient(total, variable)
    return {
        "losses": {
            name: {what: losses(function, values) for what, values in given.items()}
            for functions, given in cases
            for name, function in functions.items()
        },
        "utterances": [
            {"tokens": tokens, "logits": rounded(x[:n]), "gradient": rounded(g[:n])}
            for tokens, x, g, n in zip(TOKENS, logits, gradient, LENGTHS, strict=True)
        ],
    }


def synthesise(rng, count):
    """Texts, the noisy frames that spell them (B, T, F), lengths, tokens (B, U), their counts."""
    texts = rng.choice(TEXTS, count).tolist()
    tokens = [[SYMBOLS.index(character) for character in text] for text in texts]
    paths = [np.repeat(row, rng.integers(2, 5, len(row))) for row in tokens]
    frames = np.zeros((count, FRAMES, len(SYMBOLS)))
    for row, path in zip(frames, paths, strict=True):
        row[: len(path)] = rng.normal(np.eye(len(SYMBOLS))[path], 0.6)
    return texts, frames, np.array([len(path) for path in paths]), *padded(tokens)


def trained_model(rng):
    """A small convolution that ends in a softmax, as `ctc_batch_cost` wants it."""
    keras.utils.set_random_seed(SEED)
    _, frames, lengths, tokens, counts = synthesise(rng, 512)
    layers = [
        keras.layers.Conv1D(24, 5, padding="same", activation="relu"),
        keras.layers.Dense(len(SYMBOLS) + 1, activation="softmax"),
    ]
    model = keras.Sequential([keras.Input((FRAMES, len(SYMBOLS))), *layers])

    def cost(target, posteriors):  # one tensor is all that Keras lets through
        return ctc_batch_cost(target[:, 2:], posteriors, target[:, :1], target[:, 1:2])

    model.compile(keras.optimizers.Adam(0.01), cost)
    model.fit(frames, np.column_stack([lengths, counts, tokens]), epochs=15, verbose=0)
    return model


def record_model(rng):
    """Posteriors of six new utterances by the little model, with Keras's loss and greedy text."""
    model = trained_model(rng)
    texts, frames, lengths, tokens, counts = synthesise(rng, 6)
    posteriors = np.array(rounded(model(frames)))
    given = posteriors.astype(np.float32)
    nats = ctc_batch_cost(tokens, given, lengths[:, None], counts[:, None])[:, 0]
    greedy = ctc_decode(given, lengths, greedy=True)[0][0].numpy()  # (B, T), -1 after the end
    utterances = [
        {
            "text": text,
            "greedy": "".join(SYMBOLS[token] for token in best if token >= 0),
            "ctc_batch_cost": cost,
            "posteriors": rows[:n].tolist(),
        }
        for text, best, cost, rows, n in zip(
            texts, greedy, rounded(nats), posteriors, lengths, strict=True
        )
    ]
    return {"symbols": [*SYMBOLS, "<blank>"], "utterances": utterances}


def softmax(values):
    """Over the last axis, in float64."""
    exponentials = np.exp(values - values.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def blank_last(values):
    """Move the first column behind the others."""
    return np.roll(values, -1, axis=-1)


def padded(tokens):
    """Lists of tokens as (B, U), zero where nothing is, and how many each has."""
    counts = np.array([len(row) for row in tokens])
    return np.array([row + [0] * (counts.max() - len(row)) for row in tokens]), counts


def rounded(values):
    """As (nested) lists of numbers with six decimals."""
    return np.round(np.asarray(values, np.float64), 6).tolist()


def dump(value, indent=""):
    """JSON with one row of plain values a line."""
    inner = indent + " "
    if isinstance(value, dict):
        parts = [f"{inner}{json.dumps(k)}: {dump(v, inner)}" for k, v in value.items()]
        return "{\n" + ",\n".join(parts) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(v, list | dict) for v in value):
        return "[\n" + ",\n".join(inner + dump(v, inner) for v in value) + f"\n{indent}]"
    return json.dumps(value)


def main():
    """Compute everything and write it to the path given."""
    mild = np.random.default_rng([SEED]).uniform(-1, 1, (len(TOKENS), LENGTHS.max(), VOCABULARY))
    packages = ["tensorflow-cpu", "keras", "optax", "jax", "numpy"]
    versions = {name: importlib.metadata.version(name) for name in packages}
    record = {
        "versions": {"python": platform.python_version(), **versions},
        "batches": {
            "mild": record_batch(np.round(mild, 4)),
            "peaky": record_batch(np.round(12 * mild, 4)),
        },
        "model": record_model(np.random.default_rng([SEED, 1])),
    }
    Path(sys.argv[1]).write_text(dump(record) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
