"""Tools that look something up: search, maps, file search and the reading of web pages. Nothing is fetched."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from html import escape
from typing import Any
from urllib.parse import quote, urlsplit

from batchrun.emulator.draws import digest
from batchrun.emulator.places import places_in
from batchrun.emulator.replies.synthetic import MARK
from batchrun.emulator.tools.use import Claim, Use, call_and_result

_URL = re.compile(r"https?://[^\s<>\"'()\[\]]+[^\s<>\"'()\[\].,;:!?]")
_MOST_URLS = 20
_SOURCES = 2
_MOST_STORES = 5
#: Retrieval that finds pages of the web; the other kinds find documents.
_WEB = ("exa_ai_search", "parallel_ai_search")
#: Roughly what a page says that a tool reads.
_PAGE_TEXT = "emulated page " * 60


def urls_in(text: str) -> list[str]:
    return list(dict.fromkeys(_URL.findall(text)))[:_MOST_URLS]


def google_search(tool: Mapping[str, Any], text: str, key: bytes) -> Use:
    """One or two queries, two sources; an answer that cites them."""
    query = " ".join(text.split())[:100] or "emulated query"
    queries = [query, f"{query} explained"][: 1 + digest("queries", key)[0] % 2]
    kind = (tool.get("search_types") or ["web_search"])[0]
    chips = "".join(f'<a href="https://www.google.com/search?q={quote(q)}">{escape(q)}</a>' for q in queries)
    suggestions = {"search_suggestions": f'<div class="emulated">{chips}</div>'}
    call = {"arguments": {"queries": queries}, "search_type": kind}
    steps = call_and_result("google_search", key, call, {"result": [suggestions]})
    claims = [_found(query, number, key) for number in range(_SOURCES)]
    return Use(steps, claims, Counter(google_search=len(queries)), _PAGE_TEXT * _SOURCES)


def _found(query: str, number: int, key: bytes) -> Claim:
    page = digest("source", key, number).hex()[:8]
    url = {"type": "url_citation", "url": f"https://example.com/emulated/{page}", "title": "example.com"}
    return Claim(f"{MARK} Source {number + 1} on “{query[:60]}” is made up.", url)


def url_context(tool: Mapping[str, Any], text: str, key: bytes) -> Use:
    """Every address in the prompt is read, except those that cannot exist."""
    urls = urls_in(text) or ["https://example.com/emulated"]
    results = [{"url": url, "status": _page_status(url)} for url in urls]
    steps = call_and_result("url_context", key, {"arguments": {"urls": urls}}, {"result": results})
    read = [result["url"] for result in results if result["status"] == "success"]
    claims = [
        Claim(f"{MARK} Nobody read {url}.", {"type": "url_citation", "url": url, "title": urlsplit(url).netloc})
        for url in read
    ]
    return Use(steps, claims, read=_PAGE_TEXT * len(read))


def _page_status(url: str) -> str:
    host = url.split("/")[2].partition(":")[0].lower()
    return "error" if host.endswith((".invalid", ".test")) else "success"


def google_maps(tool: Mapping[str, Any], text: str, key: bytes) -> Use:
    """The places that the prompt names, else one that is made up."""
    names = places_in(text) or ["Emulated Place"]
    places = [_place(name, key) for name in names]
    result: dict[str, Any] = {"places": places}
    if tool.get("enable_widget"):
        result["widget_context_token"] = digest("widget", key).hex()
    steps = call_and_result("google_maps", key, {"arguments": {"queries": names}}, {"result": [result]})
    claims = [Claim(f"{MARK} {place['name']} is on no map.", {"type": "place_citation", **place}) for place in places]
    return Use(steps, claims, Counter(google_maps=len(names)), "emulated place " * 20 * len(names))


def _place(name: str, key: bytes) -> dict[str, Any]:
    place = digest("place", name).hex()[:20]
    return {"name": name, "place_id": f"places/{place}", "url": f"https://maps.google.com/?cid={place}"}


def file_search(tool: Mapping[str, Any], text: str, key: bytes) -> Use:
    """A document of each store is cited; there are no stores behind their names."""
    stores: list[str] = tool["file_search_store_names"][:_MOST_STORES]
    claims = [Claim(f"{MARK} No document of {store} was searched.", _document(store, key)) for store in stores]
    return Use(call_and_result("file_search", key, {}, {}), claims, read=_PAGE_TEXT * len(stores))


def _document(store: str, key: bytes) -> dict[str, Any]:
    return {
        "type": "file_citation",
        "file_name": "emulated.pdf",
        "document_uri": f"{store}/documents/emulated",
        "source": store,
        "page_number": 1 + digest("page", key, store)[0] % 9,
    }


def retrieval(tool: Mapping[str, Any], text: str, key: bytes) -> Use:
    """One query to the first kind of store or search that the tool names."""
    kind, query = _retrieval_kind(tool), " ".join(text.split())[:100] or "emulated query"
    call = {"arguments": {"queries": [query]}, "retrieval_type": kind}
    steps = call_and_result("retrieval", key, call, {"is_error": False})
    claim = _found(query, 0, key) if kind in _WEB else Claim(f"{MARK} Nothing was looked up.", _document(kind, key))
    return Use(steps, [claim], Counter(retrieval=1), _PAGE_TEXT)


def _retrieval_kind(tool: Mapping[str, Any]) -> str:
    configured = (name.removesuffix("_config") for name in tool if name.endswith("_config"))
    return str(next(iter(tool.get("retrieval_types") or configured), "vertex_ai_search"))
