"""The functions on the page about functions do what the page says."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from batchrun.tools import ToolResult
from tests.tools.conftest import Load

PAGE = Path(__file__).parents[2] / "docs" / "function-calling.md"


def test_the_example_of_the_page_works_as_told(load: Load) -> None:
    [code] = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    box = load(code, "shop", name="shop")
    assert [tool["name"] for tool in box.declarations] == ["price", "in_stock"]
    price, stock = (tool["parameters"]["properties"] for tool in box.declarations)
    assert price["currency"]["enum"] == ["EUR", "USD"]
    assert price["item"]["description"] == "Name of the item, in English and singular."
    assert stock["count"]["description"] == "How many are wanted. (default: 1)"
    lamp = asyncio.run(box.call("price", {"item": "lamp"}))
    assert lamp == ToolResult({"item": "lamp", "price": 39.0, "currency": "EUR"}, is_error=False)
    sofa = asyncio.run(box.call("price", {"item": "sofa"}))
    assert sofa == ToolResult("LookupError: no item is called 'sofa'; there are: lamp, desk", is_error=True)
    assert asyncio.run(box.call("in_stock", {"item": "lamp", "count": 2})).result == {"result": True}
