"""The programs that a model would write and what they would print. Nothing is run: a few are known, others pretend."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice

from batchrun.emulator.replies.synthetic import MARK

_FILE = re.compile(r"(?<![\w./])[\w-]{1,60}\.(?:txt|csv|md|json|py|html|log)\b")
_COUNT = re.compile(r"\b(\d{1,4})\b")
_MOST = 1000
_TEXT_LIMIT = 20_000


@dataclass(frozen=True, slots=True)
class Program:
    """Python code, what it prints, and the file that it leaves, if any."""

    code: str
    output: str
    file: str | None


def program_for(text: str) -> Program:
    """The program that the words ask for; of a very long prompt, its beginning."""
    text = text[:_TEXT_LIMIT]
    count = min(int(match[1]), _MOST) if (match := _COUNT.search(text)) else 10
    kind = next((kind for kind in _KNOWN if kind in text.lower()), None)
    code, output = _KNOWN[kind](count) if kind else _pretended(text)
    name = match[0] if (match := _FILE.search(text)) else None
    return Program(_saving(code, name), output, name)


def _saving(code: str, name: str | None) -> str:
    if name is None:
        return f"{code}print(result)\n"
    return f'{code}with open("{name}", "w") as file:\n    file.write(result)\nprint(open("{name}").read())\n'


def _pretended(text: str) -> tuple[str, str]:
    output = f"{MARK} output for a task of {len(text)} characters"
    return f'result = "{output}"\n', output


def _fibonacci(count: int) -> tuple[str, str]:
    numbers = [0, 1]
    while len(numbers) < count:
        numbers.append(numbers[-1] + numbers[-2])
    code = f"a, b, numbers = 0, 1, []\nfor _ in range({count}):\n    numbers.append(a)\n    a, b = b, a + b\n"
    return f'{code}result = ", ".join(map(str, numbers))\n', ", ".join(map(str, numbers[:count]))


def _primes(count: int) -> tuple[str, str]:
    candidates = (n for n in range(2, 10_000) if all(n % d for d in range(2, int(n**0.5) + 1)))
    numbers = list(islice(candidates, count))
    code = "primes, n = [], 2\n"
    code += f"while len(primes) < {count}:\n    if all(n % p for p in primes):\n        primes.append(n)\n    n += 1\n"
    return f'{code}result = f"{{primes}} sum: {{sum(primes)}}"\n', f"{numbers} sum: {sum(numbers)}"


_KNOWN: Mapping[str, Callable[[int], tuple[str, str]]] = {"fibonacci": _fibonacci, "prime": _primes}
