"""What a usage object costs, by a table of prices. Pure but for the reading of the table; unknown is None, never 0.

Facts: Api-Revision 2026-05-20, `usage`. Output does not contain thoughts, which are billed as output; cached tokens
are a part of the input. Whether what tools read is billed as input is not documented, so that is named as assumed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from batchrun.errors import SpecError
from batchrun.interactions.usage import GROUNDING, Usage, count
from batchrun.prices.bill import Bill, Cost

#: Tiers at the price of another one.
_SAME_PRICE = {"deferred": "flex"}


def _by_modality(value: object) -> object:
    """A price for everything, or one for each modality."""
    return value if isinstance(value, dict) else {"any": value}


Dollars = Annotated[Decimal, Field(ge=0, le=1_000_000)]
ByModality = Annotated[dict[str, Dollars], BeforeValidator(_by_modality)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Rates(_Strict):
    """Dollars for 1,000,000 tokens by modality; `any` stands for those that are not named."""

    input: ByModality = {}
    output: ByModality = {}
    cached: Dollars | None = None


class Tiers(Rates):
    """The rates of the standard tier and of the others."""

    flex: Rates | None = None
    priority: Rates | None = None

    def of(self, tier: str) -> Rates | None:
        """The rates of a tier; None if they are not known."""
        tier = _SAME_PRICE.get(tier, tier)
        others = {"flex": self.flex, "priority": self.priority}
        return self if tier == "standard" else others.get(tier)


class Price(Tiers):
    """What some models cost for some time. The fields are explained in `prices.toml`."""

    models: list[str] = Field(min_length=1)
    first: date = Field(default=date.min, alias="from")
    until: date = date.max
    long: Tiers | None = None
    long_above: int = Field(default=200_000, ge=0)
    google_search: Dollars | None = None
    google_maps: Dollars | None = None
    retrieval: Dollars | None = None
    song: Dollars | None = None
    image: Dollars | None = None
    unconfirmed: list[str] = []

    @model_validator(mode="after")
    def _some_price(self) -> Price:
        if self.song is None and not (self.input or self.output):
            raise ValueError("a price has an input and an output, or a song")
        return self

    def rates(self, tier: str, input_tokens: int) -> Rates | None:
        """The rates of a request; None if they are not known."""
        tiers = self.long if self.long is not None and input_tokens > self.long_above else self
        return tiers.of(tier)


class Prices(_Strict):
    """A table of prices: when and where it was gathered, and its lines."""

    gathered: str = ""
    source: str = ""
    price: list[Price] = []

    def find(self, model: str, when: date) -> Price | None:
        """The price of a model or agent on a day. A full name goes before a pattern."""
        name = model.removeprefix("models/")
        fitting = [price for price in self.price if price.first <= when < price.until]
        named = (price for price in fitting if name in price.models)
        by_pattern = (price for price in fitting if any(fnmatchcase(name, known) for known in price.models))
        return next(named, None) or next(by_pattern, None)

    def cost_of(
        self,
        model: str,
        tier: str | None,
        usage: Usage | None,
        when: date,
        made: Mapping[str, int] | None = None,
    ) -> Cost | None:
        """What an interaction costs in US dollars; None if its price or its input is not known.

        `tier` is the one that served it (None counts as standard), `usage` the API's object, `when` the day. `made`
        is how many blocks of each kind the answer holds, for what is priced by piece (`{"image": 2}`).
        """
        price = self.find(model, when)
        if price is None or not usage:
            return None
        bill = Bill(usage)
        if price.song is not None:
            return _of_songs(bill, price.song, (made or {}).get("audio"))
        tokens = count(usage, "total_input_tokens")
        rates = None if tokens is None else price.rates(tier or "standard", tokens)
        if tokens is None or rates is None:
            return None
        bill.add_input(tokens, rates.input, rates.cached)
        bill.add_output(rates.output, price.image, (made or {}).get("image"))
        bill.add_queries({name: getattr(price, name) for name in GROUNDING}, price.unconfirmed)
        return bill.cost(() if tier else ("the standard tier",))

    def most(self, model: str, tier: str | None, read: int, written: int, when: date) -> Decimal | None:
        """What an interaction costs at most in US dollars that reads and writes so many tokens, thoughts included.

        None if its price is not known. What tools of the service charge for a query is in no price of a token.
        """
        price = self.find(model, when)
        if price is None or price.song is not None:
            return None if price is None else price.song
        rates = price.rates(tier or "standard", read)
        if rates is None or not rates.input or not rates.output:
            return None
        dollars = read * max(rates.input.values()) + written * max(rates.output.values())
        return dollars / 1_000_000 + (price.image or 0)


def _of_songs(bill: Bill, price: Decimal, made: int | None) -> Cost:
    bill.add_pieces("songs", price, 1 if made is None else made)
    return bill.cost(("one song",) if made is None else ())


def load_prices(path: Path | None = None) -> Prices:
    """The prices that come with the package; those in a file of the same form go before them, model by model.

    Raises SpecError for a file that cannot be used.
    """
    known = _parse((files("batchrun.prices") / "prices.toml").read_text(encoding="utf-8"), "prices.toml")
    if path is None:
        return known
    try:
        own = _parse(path.read_text(encoding="utf-8-sig"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: the prices cannot be read ({error})") from error
    replaced = {model for price in own.price for model in price.models}
    kept = [_without(price, replaced) for price in known.price if not replaced.issuperset(price.models)]
    return Prices(gathered=own.gathered, source=own.source, price=[*own.price, *kept])


def _without(price: Price, replaced: set[str]) -> Price:
    return price.model_copy(update={"models": [model for model in price.models if model not in replaced]})


def _parse(text: str, where: str) -> Prices:
    try:
        return Prices.model_validate(tomllib.loads(text, parse_float=Decimal))
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{where}: not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise SpecError(f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
