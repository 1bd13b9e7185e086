"""A training step as it is usually written: Deep Speech 2 over packed sequences.

The architecture and sizes of `configs/model/deepspeech2.yaml`, built as deepspeech.pytorch builds
its own: convolutions whose padding is masked sequence by sequence, torch's batch norm over
whatever is there, `pack_padded_sequence` around each bidirectional LSTM, torch's CTC loss and its
plain AdamW. Written for this comparison, not taken from there.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class PackedReference(nn.Module):
    """(B, T, F) features to (B, T', V) log-probabilities."""

    def __init__(self, bands: int, vocabulary: int, hidden: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList()
        channels = 1
        for kernel, stride in (((7, 15), (3, 2)), ((5, 7), (1, 2))):
            padding = (kernel[0] // 2, kernel[1] // 2)
            self.convolutions += [
                nn.Conv2d(channels, 32, kernel, stride, padding, bias=False),
                nn.BatchNorm2d(32),
                nn.ReLU(),
            ]
            channels, bands = 32, (bands - 1) // stride[1] + 1
        sizes = [32 * bands, 2 * hidden, 2 * hidden]
        self.recurrences = nn.ModuleList(
            nn.LSTM(size, hidden, batch_first=True, bidirectional=True) for size in sizes
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(2 * hidden) for _ in sizes)
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(2 * hidden, vocabulary)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities and their lengths; lengths on the CPU."""
        x = features[:, None]  # (B, 1, T, F)
        for layer in self.convolutions:
            x = layer(x)
            if isinstance(layer, nn.Conv2d):
                lengths = (lengths - 1) // layer.stride[0] + 1
            mask = torch.zeros(x.shape, dtype=torch.bool)
            for i, length in enumerate(lengths.tolist()):
                mask[i, :, length:] = True
            x = x.masked_fill(mask, 0)
        x = x.transpose(1, 2).flatten(2)  # (B, T', C * F')
        for lstm, norm in zip(self.recurrences, self.norms, strict=True):
            packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            x = pad_packed_sequence(lstm(packed)[0], batch_first=True)[0]
            x = self.dropout(norm(x.flatten(0, 1)).view(x.shape))
        return self.head(x).log_softmax(dim=-1), lengths


class PackedStep:
    """The whole update on one batch of features."""

    def __init__(self, bands: int, vocabulary: int, hidden: int) -> None:
        self.network = PackedReference(bands, vocabulary, hidden)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=1e-3)

    def __call__(self, features: Tensor, lengths: Tensor, tokens: Tensor, sizes: Tensor) -> float:
        """The loss, after an update against it."""
        log_probs, lengths = self.network(features, lengths)
        loss = F.ctc_loss(log_probs.transpose(0, 1), tokens, lengths, sizes)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        return loss.item()
