"""The functions of weather_tool.yaml. A real one would ask a weather service; here is what it would say."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

_CELSIUS = {"Köln": 11.5, "Lisbon": 21, "London": 14, "New York": 17.5, "Oslo": 4, "Reykjavik": 2.5, "Tehran": 19}
_ALSO_CALLED = {"Cologne": "Köln", "Lissabon": "Lisbon", "تهران": "Tehran"}


def get_temperature(
    city: Annotated[str, Field(description="The city's name alone, without its country.")],
    unit: Literal["celsius", "fahrenheit"] = "celsius",
) -> dict[str, object]:
    """Gets the temperature that was measured last in a city."""
    celsius = _CELSIUS.get(_ALSO_CALLED.get(city, city))
    if celsius is None:
        raise LookupError(f"there is no station in {city!r}; there is one in {', '.join(_CELSIUS)}")
    return {"city": city, "temperature": celsius if unit == "celsius" else round(celsius * 1.8 + 32, 1), "unit": unit}


def suggest_clothes(celsius: Annotated[float, Field(ge=-60, le=60)]) -> list[str]:
    """Suggests what to wear at a temperature."""
    return ["coat", "gloves"] if celsius < 8 else ["jacket"] if celsius < 18 else ["shirt"]
