"""Prints answers for people: text on standard output, all else on standard error. Whatever a server said is escaped."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from batchrun.cli.printing import note, shortened, write
from batchrun.engine.events import Called, Paused, UploadFailed
from batchrun.errors import StoreError
from batchrun.glyphs import safe
from batchrun.interactions import pieces
from batchrun.plurals import counted, duration

if TYPE_CHECKING:
    from batchrun.interactions.models import Interaction
    from batchrun.outputs.citations import Citation
    from batchrun.store.records import RowRecord

T = TypeVar("T")

_WIDTH = 160
_CITED_WIDTH = 64
_MOST_CITATIONS = 50
#: HTML for a web page, which tells people nothing on a terminal.
_FOR_PAGES = ("search_suggestions", "rendered_content")


class Printer:
    """Prints the pieces of answers: as they come if `live`, else when it is given whole answers.

    `unread` is why what came could not be printed, if it could not: the answer is paid for, and is heard to its end.
    """

    def __init__(self, *, live: bool) -> None:
        self.unread: OSError | StoreError | None = None
        self._live = live
        self._calls: deque[str] = deque()
        self._mid_line = False
        self._unended = False
        self._interaction: str | None = None
        self._broken_off = False

    def __call__(self, piece: pieces.Piece) -> None:
        match piece:
            case pieces.Text(_, text):
                write(safe(text))
                self._mid_line = self._unended = not text.endswith("\n")
            case pieces.Status(name, _) if name is not None and name != self._interaction:
                self._begin(name)
            case _ if said := _said(piece):
                self._note(said)
        if isinstance(piece, pieces.Status | pieces.Stopped):
            self._broken_off = piece.status == "requires_continuation"

    def _begin(self, name: str) -> None:
        """Each interaction begins a line, unless it goes on with the text of the one before."""
        if not self._broken_off:
            self.end_line()
        self._interaction = name
        self._note(name)

    def hear(self, piece: pieces.Piece) -> None:
        """Prints a piece while the answer comes."""
        self._try(self, piece)

    def observe(self, event: object) -> None:
        """Says what happens beside the answer."""
        self._try(self._say, event)

    def _try(self, show: Callable[[T], None], what: T) -> None:
        try:
            if self.unread is None:
                show(what)
        except (OSError, StoreError) as error:
            self.unread = error

    def _say(self, event: object) -> None:
        match event:
            case Called(_, name, result, is_error):
                self._calls.append(f"{name} {'failed' if is_error else 'gave'}: {_compact(result)}")
                if self._live:
                    self._tell_calls(1)
            case Paused(seconds, reason):
                self._note(f"waiting {duration(seconds)}: {reason}")
            case UploadFailed(file, seconds, reason):
                self._note(f"{file!r} is not uploaded yet: {reason}; the next try is in {duration(seconds)}")

    def tell(self, answer: Interaction) -> None:
        """Prints a whole answer, and what the functions gave that it called."""
        self(pieces.Status(answer.id, answer.status))
        for piece in pieces.unseen({}, [step for _, step in answer.own_steps]):
            if not isinstance(piece, pieces.Media):  # they are files by now, and told of as such
                self(piece)
        self._tell_calls(len(answer.function_calls))

    def _tell_calls(self, number: int) -> None:
        for _ in range(min(number, len(self._calls))):
            self._note(self._calls.popleft())

    def _note(self, text: str) -> None:
        if self._mid_line:
            note("")  # on the screen the line ends; what is piped stays the answer and nothing else
            self._mid_line = False
            self._unended = True
        note(shortened(text, _WIDTH))

    def end_line(self) -> None:
        """What is printed next begins a line."""
        if self._unended:
            write("\n")
            self._mid_line = self._unended = False


def citation_lines(row: RowRecord) -> Iterator[str]:
    """The citations of a row's answers, as `citations.parquet` has them: places in characters of the text."""
    from batchrun.outputs.citations import citations_of
    from batchrun.outputs.history import History

    found = list(citations_of(History.of(row)))
    if found:
        yield f"{counted(len(found), 'citation')}:"
    for citation in found[:_MOST_CITATIONS]:
        yield from _cited(citation)
    if len(found) > _MOST_CITATIONS:
        yield f"  … and {counted(len(found) - _MOST_CITATIONS, 'citation')} more"


def _cited(citation: Citation) -> Iterator[str]:
    from batchrun.outputs.citations import columns

    told: dict[str, Any] = {column.name: column.value(citation) for column in columns()}
    place = next((span for span in (citation.in_text, citation.span) if span[0] is not None), None)
    where = "nowhere in the text" if place is None else f"{place[0]}-{place[1]}"
    yield f"  {where}" + (f" “{shortened(told['text'], _CITED_WIDTH)}”" if told["text"] else "")
    source = [shortened(told[name], 2 * _WIDTH) for name in ("title", "file_name", "url") if told[name]]
    if source:
        yield f"    {' '.join(source)}"


def _said(piece: pieces.Piece) -> str | None:
    """A line about a piece that is not text, None for one that says nothing new. Citations are told at the end."""
    match piece:
        case pieces.Thought(_, text):
            return f"thought: {text}"
        case pieces.ToolCall(_, kind, name, arguments):
            return _called(name or kind.removesuffix("_call"), arguments)
        case pieces.ToolResult(_, kind, name, result, is_error):
            told = _without_pages(result)
            said = f"{name or kind.removesuffix('_result')} {'failed' if is_error else 'gave'}"
            if told or told == result:
                return f"{said}: {_compact(told)}"
            return said if is_error else None
        case pieces.Media(_, kind, mime_type, size, uri):
            return f"{kind} {mime_type or ''}: {uri or counted(size or 0, 'byte')}"
        case pieces.Waiting(reason):
            return f"waiting: {reason}"
    return None


def _called(name: str, arguments: Any) -> str:
    """A call; one of a list alone, such as queries or addresses, as that list."""
    match arguments:
        case {"queries": [*items]} | {"urls": [*items]} if len(arguments) == 1 and all(map(_is_text, items)):
            return f"{name}: {', '.join(f'“{item}”' for item in items)}"
    return f"{name}({_compact(arguments)})"


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _without_pages(result: Any) -> Any:
    """A result without the HTML that is meant for web pages; empty where nothing else is in it."""
    match result:
        case dict():
            return {name: value for name, value in result.items() if name not in _FOR_PAGES}
        case list():
            return [kept for item in result if (kept := _without_pages(item)) or not isinstance(item, dict)]
    return result


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:2_000]
