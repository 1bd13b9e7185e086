"""Words as a graph of tokens: which token may follow where in a word, and where words end.

The words are put into a tree of characters first, and each token that spells a way down the tree
becomes an edge of its own. So a word may be spelt by any tokens, and a search takes one step for
a token, whether it is one character or a piece of several.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ROOT, OUTSIDE = 0, 1  # nodes: between words, and in a word that is not in the lexicon
NO_SPACE, NOWHERE = -2, -1
_LONGEST = 255  # characters of a word


class Lexicon(NamedTuple):
    """The graph. N nodes, E edges, V tokens.

    first: (N + 1,) int32, the edges first[n] .. first[n + 1] leave node n.
    tokens: (E,) int32, ascending in each node.  targets: (E,) int32.
    words: (N,) int32, the word that ends in a node, or -1.
    spaces: (V,) int32, for tokens that begin with a space the node that the rest of the token
        leads to from ROOT (NOWHERE if it is no beginning of a word); NO_SPACE for the others.
    parents: (N,) int32, each node's parent, which has a smaller number; -1 for ROOT and OUTSIDE.
    """

    first: NDArray[np.int32]
    tokens: NDArray[np.int32]
    targets: NDArray[np.int32]
    words: NDArray[np.int32]
    spaces: NDArray[np.int32]
    parents: NDArray[np.int32]


def build_lexicon(words: Sequence[str], tokens: Sequence[str]) -> Lexicon:
    """Build the graph of some words, each of which stands once.

    Args:
        words: without white space; may be empty.
        tokens: what each token of the vocabulary spells; that of the blank is not looked at.

    Raises:
        ValueError: a token holds a space that does not begin it, or a word is too long.
    """
    if over := [token for token in tokens[1:] if " " in token[1:]]:
        raise ValueError(
            f"the token {over[0]!r} reaches over the end of a word; decoding by words needs tokens "
            "whose only space is their first character"
        )
    longest = max(map(len, words), default=0)
    if longest > _LONGEST:
        raise ValueError(f"the lexicon holds a word of {longest} characters: {max(words, key=len)}")
    tree = _tree(words)
    rests = ["", *(token.removeprefix(" ") for token in tokens[1:])]
    spaces = np.full(len(tokens), NO_SPACE, np.int32)
    for token, text in enumerate(tokens[1:], start=1):
        if text.startswith(" "):
            spaces[token] = tree.follow(rests[token])
    inner = [t for t in range(1, len(tokens)) if spaces[t] == NO_SPACE]
    starts, labels, targets = _edges(tree, [rests[t] for t in inner])
    by_start = np.lexsort((np.asarray(inner, np.int32)[labels], starts))
    count = np.bincount(starts, minlength=len(tree.parents))
    return Lexicon(
        np.concatenate([[0], np.cumsum(count)]).astype(np.int32),
        np.asarray(inner, np.int32)[labels[by_start]],
        targets[by_start].astype(np.int32),
        tree.words,
        spaces,
        tree.parents,
    )


class _Tree(NamedTuple):
    """A tree of characters; node 0 is the root, node 1 (OUTSIDE) has no way in or out.

    parents, characters: (N,) int32, by depth; words: (N,) int32, the string that ends in a node.
    keys: (N - 2,) int64, ascending: (parent, character) of nodes 2..N-1.
    """

    parents: NDArray[np.int32]
    characters: NDArray[np.int32]
    words: NDArray[np.int32]
    keys: NDArray[np.int64]

    def step(self, nodes: NDArray[np.int32], characters: NDArray[np.int32]) -> NDArray[np.int32]:
        """The children of nodes by characters; NOWHERE where there is none."""
        if len(self.keys) == 0:
            return np.full(len(nodes), NOWHERE, np.int32)
        wanted = (nodes.astype(np.int64) << 32) + characters
        place = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.where(self.keys[place] == wanted, place + 2, NOWHERE).astype(np.int32)

    def follow(self, text: str) -> int:
        """The node that a text leads to from the root, or NOWHERE."""
        node = np.zeros(1, np.int32)
        for character in text:
            node = self.step(node, np.array([ord(character)], np.int32))
        return int(node[0])


def _tree(strings: Sequence[str]) -> _Tree:
    """Put strings into a tree, a depth at a time: a node where a sorted string's start is new."""
    array = np.array(strings, dtype=np.str_) if len(strings) else np.zeros(0, "<U1")
    order = np.argsort(array, kind="stable")
    width = array.dtype.itemsize // 4
    letters = array[order].view(np.int32).reshape(-1, width) if len(array) else np.zeros((0, 1))
    lengths = np.char.str_len(array[order])
    differs = np.ones(letters.shape, dtype=bool)
    differs[1:] = np.logical_or.accumulate(letters[1:] != letters[:-1], axis=1)
    start = np.full(2, -1, np.int32)  # ROOT and OUTSIDE
    parents, characters, words = [start], [start], [start]
    above, count = np.zeros(len(letters), np.int32), 2
    for depth in range(letters.shape[1]):
        # A string sorts before those that it begins, so that a new node's first is its own.
        new = differs[:, depth] & (lengths > depth)
        if not new.any():
            continue
        here = (count - 1 + np.cumsum(new)).astype(np.int32)
        parents.append(above[new])
        characters.append(letters[new, depth].astype(np.int32))
        ends = np.flatnonzero(new)
        words.append(np.where(lengths[ends] == depth + 1, order[ends], -1).astype(np.int32))
        above, count = here, count + int(new.sum())
    parent, character = np.concatenate(parents), np.concatenate(characters)
    keys = (parent[2:].astype(np.int64) << 32) + character[2:]
    return _Tree(parent, character, np.concatenate(words), keys)


def _edges(tree: _Tree, tokens: Sequence[str]) -> tuple[NDArray[np.int32], ...]:
    """All ways down a tree that tokens spell: start nodes, places in `tokens`, end nodes.

    Read upwards from every node at once, in a tree of the tokens spelt backwards.
    """
    backwards = _tree([token[::-1] for token in tokens])
    end = np.arange(2, len(tree.parents), dtype=np.int32)
    above, spelt = end, np.zeros(len(end), np.int32)
    starts, labels, targets = [], [], []
    while len(end):
        spelt = backwards.step(spelt, tree.characters[above])
        above = tree.parents[above]
        alive = spelt != NOWHERE
        end, above, spelt = end[alive], above[alive], spelt[alive]
        token = backwards.words[spelt]
        whole = token >= 0
        starts.append(above[whole])
        labels.append(token[whole])
        targets.append(end[whole])
        inside = above > 0
        end, above, spelt = end[inside], above[inside], spelt[inside]
    none = np.zeros(0, np.int32)
    return tuple(np.concatenate([none, *x]) for x in (starts, labels, targets))


def spelt(lexicon: Lexicon) -> NDArray[np.bool_]:
    """(number of words,) whether tokens can spell each word."""
    found = np.zeros(len(lexicon.words), dtype=bool)
    found[[ROOT, *lexicon.spaces[lexicon.spaces >= 0]]] = True
    starts = np.repeat(np.arange(len(lexicon.words)), np.diff(lexicon.first))
    before = 0
    while (now := int(found.sum())) != before:
        before = now
        found[lexicon.targets[found[starts]]] = True
    ends = lexicon.words >= 0
    answer = np.zeros(int(ends.sum()), dtype=bool)
    answer[lexicon.words[ends]] = found[ends]
    return answer


def look_ahead(lexicon: Lexicon, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) the largest value of the words that a node is on the way to; 0 in ROOT.

    values: (number of words,).
    """
    best = np.full(len(lexicon.words), -np.inf)
    ends = lexicon.words >= 0
    best[ends] = values[lexicon.words[ends]]
    for _ in range(_LONGEST + 1):  # a word's depth at most
        above = best.copy()
        np.maximum.at(above, lexicon.parents[2:], best[2:])
        if np.array_equal(above, best):
            break
        best = above
    best[ROOT] = 0.0
    return best
