"""A bill of one interaction, part by part, in US dollars. Pure. What has no price is named, never counted as 0."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal

from batchrun.interactions.usage import Usage, by_modality, count, queries

_MILLION = Decimal(1_000_000)
#: The modality of tokens of which none is told.
_UNTOLD = ""
_NOTHING = Decimal(0)
ByModality = Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Cost:
    """What an interaction costs in US dollars.

    `parts` has a sum for each thing billed: `input_text`, `input_audio`, `cached`, `output_text`, `output_image`,
    `thoughts`, `tool_use`, `google_search`, `songs` and so on. `unpriced` names what is billed or may be and is in no
    part, so that `total` is a lower bound; `assumed` names what the sums take for granted, `unconfirmed` what
    is in them at a price that only a third party lists.
    """

    parts: Mapping[str, Decimal]
    unpriced: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    unconfirmed: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether all that is billed is in the total."""
        return not self.unpriced

    @property
    def total(self) -> Decimal:
        return sum(self.parts.values(), _NOTHING)

    @property
    def input(self) -> Decimal:
        """Without what was cached, and with what tools read."""
        return self._sum("input_", "tool_use")

    @property
    def cached(self) -> Decimal:
        return self._sum("cached")

    @property
    def output(self) -> Decimal:
        """With thoughts, and with what is priced by piece."""
        return self._sum("output_", "thoughts", "songs", "images")

    @property
    def grounding(self) -> Decimal:
        return self._sum("google_", "retrieval")

    def _sum(self, *names: str) -> Decimal:
        return sum((dollars for part, dollars in self.parts.items() if part.startswith(names)), _NOTHING)


class Bill:
    """Collects the parts of a `Cost` of one usage object. Prices are dollars for a million tokens."""

    def __init__(self, usage: Usage) -> None:
        self._usage = usage
        self._parts: dict[str, Decimal] = {}
        self._unpriced: list[str] = []
        self._assumed: list[str] = []
        self._unconfirmed: list[str] = []

    def cost(self, assumed: tuple[str, ...] = ()) -> Cost:
        unpriced = tuple(dict.fromkeys(self._unpriced))
        return Cost(self._parts, unpriced, (*assumed, *self._assumed), tuple(self._unconfirmed))

    def add_input(self, total: int, prices: ByModality, cached_price: Decimal | None) -> None:
        """The tokens of the input, of which the cached ones have a price of their own.

        A count of cached tokens that is not told is none: the full price is never too low.
        """
        shares = _shares(self._usage, "input", total)
        cached = min(count(self._usage, "total_cached_tokens") or 0, total)
        for modality, tokens in _less(shares, _shares(self._usage, "cached", cached)).items():
            self._add_share("input", modality, tokens, prices)
        self._add_tokens("cached", cached, cached_price)
        if read := count(self._usage, "total_tool_use_tokens"):
            self._assumed.append("what tools read at the price of text that is sent")
            self._add_tokens("tool_use", read, prices.get("text", prices.get("any")))

    def add_output(self, prices: ByModality, image_price: Decimal | None, images: int | None) -> None:
        """The tokens of the answer and of the thoughts; images by piece where no tokens are told for the answer."""
        total = count(self._usage, "total_output_tokens")
        if total is not None:
            for modality, tokens in _shares(self._usage, "output", total).items():
                self._add_share("output", modality, tokens, prices)
        elif images and image_price is not None:
            self._assumed.append("images of the smallest size")
            self.add_pieces("images", image_price, images)
        else:
            self._unpriced.append("output tokens, which are not told")
        thoughts = _thoughts(self._usage)
        if thoughts is None:
            self._unpriced.append("thought tokens, which are not told")
        else:
            self._add_tokens("thoughts", thoughts, prices.get("text", prices.get("any")))

    def add_queries(self, prices: Mapping[str, Decimal | None], unconfirmed: Collection[str] = ()) -> None:
        """Searches and the like; prices are dollars for a thousand, some of them perhaps `unconfirmed`."""
        for kind, asked in queries(self._usage):
            price = prices.get(kind)
            if price is None:
                self._unpriced.append(f"{kind} queries")
            else:
                self._assumed.append(f"no free allowance of {kind} queries")
                self.add_pieces(kind, price / 1000, asked)
                if kind in unconfirmed:
                    self._unconfirmed.append(f"{kind} queries")

    def add_pieces(self, part: str, price: Decimal, pieces: int) -> None:
        if pieces:
            self._parts[part] = self._parts.get(part, _NOTHING) + price * pieces

    def _add_share(self, family: str, modality: str, tokens: int, prices: ByModality) -> None:
        """Tokens of one modality. Of an untold one they cost at least what the cheapest costs."""
        if modality != _UNTOLD:
            self._add_tokens(f"{family}_{modality}", tokens, prices.get(modality, prices.get("any")))
            return
        if tokens and len(set(prices.values())) > 1:
            self._unpriced.append(f"the modality of {family} tokens, which is not told")
        self._add_tokens(f"{family}_tokens", tokens, min(prices.values(), default=None))

    def _add_tokens(self, part: str, tokens: int, price: Decimal | None) -> None:
        if price is not None:
            self.add_pieces(part, price / _MILLION, tokens)
        elif tokens:
            name = part.removesuffix("_tokens").removesuffix("s").replace("_", " ")
            self._unpriced.append(f"{name} tokens")


def _shares(usage: Usage, family: str, total: int) -> dict[str, int]:
    """How a total divides into modalities, by what the usage object tells; the rest is of an untold one."""
    shares: dict[str, int] = {}
    for modality, tokens in by_modality(usage, family):
        shares[modality] = shares.get(modality, 0) + min(tokens, total - sum(shares.values()))
    rest = total - sum(shares.values())
    return {**shares, _UNTOLD: rest} if rest else shares


def _less(shares: Mapping[str, int], cached: Mapping[str, int]) -> dict[str, int]:
    """What is left of the input when the cached part is taken away: from its own modality first, then the largest."""
    left = dict(shares)
    for modality, tokens in cached.items():
        for name in (modality, *sorted(left, key=lambda name: -left[name])):
            taken = min(tokens, left.get(name, 0))
            left[name] = left.get(name, 0) - taken
            tokens -= taken
    return left


def _thoughts(usage: Usage) -> int | None:
    """The tokens of the thoughts: as told, or as the documented sum total = input + output + thoughts leaves them."""
    told = count(usage, "total_thought_tokens")
    sums = [count(usage, f"total_{name}tokens") for name in ("", "input_", "output_")]
    if told is not None or None in sums or count(usage, "total_tool_use_tokens"):
        return told
    total, *others = (tokens or 0 for tokens in sums)
    return total - sum(others) if total >= sum(others) else None
