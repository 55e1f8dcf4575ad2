"""Prints the first rows of a results file: what `make demo` shows, and how to read the results in Python."""

import sys

import pyarrow.parquet as pq

COLUMNS = ["key", "status", "vendor_name", "invoice_number", "invoice_date", "currency", "total"]


def main(path: str, rows: int = 12) -> None:
    """Print the COLUMNS of the first rows of the Parquet file at `path`."""
    table = pq.read_table(path, columns=COLUMNS)
    cells = [COLUMNS, *([shown(value) for value in row.values()] for row in table.slice(0, rows).to_pylist())]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        print("  ".join(map(str.ljust, row, widths)).rstrip())
    print(f"… {table.num_rows} rows in {path}")


def shown(value: object) -> str:
    """A value in at most 28 characters."""
    text = "" if value is None else str(value)
    return text if len(text) <= 28 else text[:27] + "…"


if __name__ == "__main__":
    main(sys.argv[1])
