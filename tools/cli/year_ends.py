"""`evenkeel tax year-ends`: the tax year of a whole book, from a table of taxpayers to tables of what came of it."""

import csv
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer
from google.protobuf.json_format import MessageToJson
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from evenkeel.common.v1.columns_pb2 import DecimalColumn
from evenkeel.decision.v1 import year_end_service_pb2 as pb
from evenkeel.decision.v1.tax_service_pb2 import TaxExchangeRate, UnitedStatesTaxpayer
from services.kernel.decimals import parse_decimal, plain
from services.kernel.errors import FieldViolation, Invalid
from services.runtime.wire import (
    NANO_PLACES,
    date_message,
    dates_of,
    decimal_column,
    decimal_message,
    decimals_of,
    words_of,
)
from tools.cli.context import as_json, call, err, out, table
from tools.cli.documents import message_from_yaml
from tools.client.session import Evenkeel

# Taxpayers of one message.
SENT_AT_ONCE = 500
# Longest wait, in seconds: a million accounts are some hours of one core.
WAIT_S = 86_400.0
# By country: the field of the contract, and the table's columns with the column of the contract that each fills.
NUMBERS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "US": (
        "united_states",
        {
            "ordinary_income": "ordinary_incomes",
            "short_brought_forward": "short_brought_forward",
            "long_brought_forward": "long_brought_forward",
            "investment_income": "investment_incomes",
            "state_rate": "state_rates",
        },
    ),
    "GB": (
        "united_kingdom",
        {"taxable_income": "taxable_incomes", "losses_brought_forward": "losses_brought_forward"},
    ),
    "CA": (
        "canada",
        {"marginal_rate": "marginal_rates", "net_losses_brought_forward": "net_losses_brought_forward"},
    ),
    "DE": (
        "germany",
        {
            "church_rate": "church_rates",
            "share_losses_brought_forward": "share_losses_brought_forward",
            "other_losses_brought_forward": "other_losses_brought_forward",
        },
    ),
}
COLUMNS = frozenset(
    {"taxpayer_id", "country", "household_id", "account_ids", "affiliated_account_ids", "filing_status", "joint"}
) | {name for _, names in NUMBERS.values() for name in names}
RATES = ("country", "date", "currency", "rate")
REFUSED = ("taxpayer_id", "account_id", "reason", "field", "description")
_Row = dict[str, str]


def year_ends(
    context: typer.Context,
    year: Annotated[int, typer.Argument(help="The tax year by the year in which it begins.")],
    taxpayers: Annotated[Path, typer.Argument(help="The taxpayers, as CSV; docs/tax.md has one.", exists=True)],
    to: Annotated[Path | None, typer.Option(help="Write what came of it into this folder, as CSV.")] = None,
    price_set: Annotated[str, typer.Option(help="Prices at which losses are open; the newest when left out.")] = "",
    whole: Annotated[list[str] | None, typer.Option(help="Name every account of this country that is missing.")] = None,
    germany: Annotated[Path | None, typer.Option(help="What assets are in Germany, as YAML.", exists=True)] = None,
    rates: Annotated[
        Path | None, typer.Option(help="Exchange rates of days, as CSV; docs/tax.md has one.", exists=True)
    ] = None,
) -> None:
    """Assess the tax years of a whole book: what is owed, losses worth harvesting, what must not be bought yet.

    Nothing is kept. Who cannot be assessed is named with the reason, and the others go on.
    """
    header = pb.YearEndHeader(tax_year=year, price_set_id=price_set, whole_jurisdictions=whole or [])
    assets = pb.GermanyTaxpayers() if germany is None else message_from_yaml(germany.read_text(), pb.GermanyTaxpayers())
    known = {} if rates is None else rates_of(rates)
    total = sum(1 for _ in _rows(taxpayers))
    totals = _Totals()

    async def work(services: Evenkeel) -> None:
        async def requests() -> AsyncIterator[pb.StreamYearEndsRequest]:
            yield pb.StreamYearEndsRequest(header=header)
            for rows in _pieces(_rows(taxpayers)):
                yield pb.StreamYearEndsRequest(taxpayers=taxpayers_message(rows, assets, known))

        bars = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with ExitStack() as files, Progress(*bars, console=err) as progress:
            task = progress.add_task("taxpayers", total=total)
            tables = None if to is None else _Tables(to, files)
            async for answer in services.year_ends.StreamYearEnds(requests(), timeout=WAIT_S):
                progress.update(task, completed=answer.taxpayers_done)
                totals.add(answer)
                if tables is not None:
                    tables.write(answer)
                if as_json(context):
                    out.print(MessageToJson(answer, preserving_proto_field_name=True, indent=None), soft_wrap=True)

    call(context, "advisor", work)
    if not as_json(context):
        totals.show()


def _rows(path: Path) -> Iterator[tuple[int, _Row]]:
    """Yield the rows of a table with the number of their line.

    Raises:
        Invalid: It has a column that nobody knows, or lacks one that is needed.
    """
    with path.open(newline="", encoding="utf-8") as lines:
        reader = csv.DictReader(lines)
        names = set(reader.fieldnames or ())
        if not {"taxpayer_id", "country"} <= names <= COLUMNS:
            said = f"must be taxpayer_id, country, and of {', '.join(sorted(COLUMNS))}; were {', '.join(sorted(names))}"
            raise _invalid(str(path), said)
        for row in reader:
            if row["country"] not in NUMBERS:
                said = f"must be one of {', '.join(NUMBERS)}, was {row['country']!r}"
                raise _invalid(f"line {reader.line_num}, country", said)
            yield reader.line_num, {name: value or "" for name, value in row.items()}


def _pieces(rows: Iterable[tuple[int, _Row]]) -> Iterator[Sequence[tuple[int, _Row]]]:
    """Yield rows of one country that follow each other, as many as go into one message."""
    piece: list[tuple[int, _Row]] = []
    for number, row in rows:
        if piece and (len(piece) == SENT_AT_ONCE or piece[-1][1]["country"] != row["country"]):
            yield piece
            piece = []
        piece.append((number, row))
    if piece:
        yield piece


def rates_of(path: Path) -> Mapping[str, Sequence[TaxExchangeRate]]:
    """Return exchange rates of days by country, from a table.

    Raises:
        Invalid: Its columns are others, or a value is no country, day or number.
    """
    found: dict[str, list[TaxExchangeRate]] = {}
    with path.open(newline="", encoding="utf-8") as lines:
        reader = csv.DictReader(lines)
        if tuple(reader.fieldnames or ()) != RATES:
            raise _invalid(str(path), f"must be {', '.join(RATES)}; were {', '.join(reader.fieldnames or ())}")
        for row in reader:
            line = f"line {reader.line_num}"
            if row["country"] not in NUMBERS:
                raise _invalid(f"{line}, country", f"must be one of {', '.join(NUMBERS)}, was {row['country']!r}")
            try:
                day, rate = date.fromisoformat(row["date"] or ""), parse_decimal(row["rate"] or "")
            except ValueError as error:
                raise _invalid(line, f"must be a day as 2025-04-30 and a number, was {error}") from None
            found.setdefault(row["country"], []).append(
                TaxExchangeRate(date=date_message(day), currency_code=row["currency"], rate=decimal_message(rate))
            )
    return found


def taxpayers_message(
    rows: Sequence[tuple[int, _Row]],
    assets: pb.GermanyTaxpayers,
    rates: Mapping[str, Sequence[TaxExchangeRate]] | None = None,
) -> pb.YearEndTaxpayers:
    """Return rows of one country as a message, with the country's exchange rates.

    Raises:
        Invalid: A value is no number, or too fine for a column.
    """
    law, names = NUMBERS[rows[0][1]["country"]]
    message = pb.YearEndTaxpayers(
        taxpayer_ids=[row["taxpayer_id"] for _, row in rows],
        household_ids=[row.get("household_id", "") for _, row in rows],
        exchange_rates=(rates or {}).get(rows[0][1]["country"], ()),
    )
    for place, (_, row) in enumerate(rows):
        for column, affiliated in (("account_ids", False), ("affiliated_account_ids", True)):
            for name in row.get(column, "").split():
                message.account_taxpayers.append(place)
                message.account_ids.append(name)
                message.account_affiliated.append(affiliated)
    facts: Any = getattr(message, law)
    facts.SetInParent()
    if law == "germany":
        facts.MergeFrom(assets)
        facts.joint.extend(row.get("joint", "") in ("true", "yes", "1") for _, row in rows)
    if law == "united_states":
        statuses = UnitedStatesTaxpayer.FilingStatus
        known = dict(statuses.items())
        facts.filing_statuses.extend(
            known.get(f"FILING_STATUS_{row.get('filing_status', '').upper()}", 0) for _, row in rows
        )
    for name, column in names.items():
        if any(row.get(name) for _, row in rows):
            getattr(facts, column).CopyFrom(_numbers(name, rows))
    return message


def _numbers(name: str, rows: Sequence[tuple[int, _Row]]) -> DecimalColumn:
    values: list[Decimal] = []
    for number, row in rows:
        try:
            values.append(parse_decimal(row.get(name) or "0"))
        except ValueError as error:
            raise _invalid(f"line {number}, {name}", str(error)) from error
    try:
        places = max(max(0, -int(each.as_tuple().exponent)) for each in values)
        return decimal_column(values, min(places, NANO_PLACES))
    except ValueError as error:
        raise _invalid(f"lines {rows[0][0]} to {rows[-1][0]}, {name}", str(error)) from error


def _invalid(field: str, description: str) -> Invalid:
    return Invalid(f"{field}: {description}", violations=[FieldViolation(field, description)])


class _Tables:
    """Writes answers into a folder as they come: a file for each country's years, one for each other kind of row."""

    def __init__(self, folder: Path, files: ExitStack) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._files = folder, files
        self._open: dict[str, Any] = {}

    def write(self, answer: pb.StreamYearEndsResponse) -> None:
        """Write an answer's rows."""
        ids = answer.taxpayer_ids
        if ids:
            names = ("taxpayer_id", "law_version", *(each.name for each in answer.lines), "permanently_lost")
            more = ("harvest_savings", "differences", "compiled")
            lines = [decimals_of(each.amounts, each.name) for each in answer.lines]
            lost, saved = decimals_of(answer.permanently_lost, ""), decimals_of(answer.harvest_savings, "")
            for row, name in enumerate(ids):
                amounts = [plain(each[row]) for each in (*lines, lost, saved)]
                self._row(
                    f"years-{answer.jurisdiction}", (*names, *more),
                    (name, answer.law_version, *amounts, answer.differences[row], answer.compiled[row]),
                )  # fmt: skip
        losses, windows = answer.losses, answer.windows
        for row, account_id, asset, lot, units, loss, free in zip(
            losses.taxpayers, words_of(losses.account_ids, ""), words_of(losses.instrument_ids, ""), losses.lot_ids,
            decimals_of(losses.quantities, ""), decimals_of(losses.losses, ""), dates_of(losses.free_dates, ""),
            strict=True,
        ):  # fmt: skip
            columns = ("taxpayer_id", "account_id", "instrument_id", "lot_id", "quantity", "loss", "free_date")
            self._row("losses", columns, (ids[row], account_id, asset, lot, plain(units), plain(loss), free))
        for row, asset, opens in zip(
            windows.taxpayers, words_of(windows.instrument_ids, ""), dates_of(windows.open_dates, ""), strict=True
        ):
            self._row("windows", ("taxpayer_id", "instrument_id", "open_date"), (ids[row], asset, opens))
        for review in answer.reviews:
            self._row("reviews", ("taxpayer_id", "sentence"), (ids[review.taxpayer], review.sentence))
        for each in answer.refusals:
            self._row("refused", REFUSED, [getattr(each, name) for name in REFUSED])

    def _row(self, kind: str, names: Sequence[str], values: Sequence[object]) -> None:
        if kind not in self._open:
            lines = self._files.enter_context((self._folder / f"{kind}.csv").open("w", newline="", encoding="utf-8"))
            self._open[kind] = csv.writer(lines)
            self._open[kind].writerow(names)
        self._open[kind].writerow(values)


class _Totals:
    """Sums of what came of it, by country."""

    def __init__(self) -> None:
        self._sums: dict[str, Counter[str]] = {}
        self._tax: dict[str, Decimal] = {}
        self._savings: dict[str, Decimal] = {}
        self._refused: Counter[str] = Counter()
        self._currencies: dict[str, str] = {}

    def add(self, answer: pb.StreamYearEndsResponse) -> None:
        """Count an answer."""
        self._refused.update(each.reason for each in answer.refusals)
        if not answer.taxpayer_ids:
            return
        country = answer.jurisdiction
        self._currencies[country] = answer.currency_code
        sums = self._sums.setdefault(country, Counter())
        sums["taxpayers"] += len(answer.taxpayer_ids)
        sums["compiled"] += sum(answer.compiled)
        sums["losses"] += len(answer.losses.taxpayers)
        sums["windows"] += len(answer.windows.taxpayers)
        sums["reviews"] += len(answer.reviews)
        for kept, column in ((self._tax, answer.lines[-1].amounts), (self._savings, answer.harvest_savings)):
            kept[country] = sum(decimals_of(column, ""), kept.get(country, Decimal(0)))

    def show(self) -> None:
        """Print them."""
        rows = table(
            "Year-ends", "country", ">taxpayers", ">by columns", ">tax", ">harvests save", ">open losses", ">windows",
            ">to review",
        )  # fmt: skip
        for country, sums in sorted(self._sums.items()):
            money = self._currencies[country]
            rows.add_row(
                country, f"{sums['taxpayers']:,}", f"{sums['compiled']:,}", f"{self._tax[country]:,.2f} {money}",
                f"{self._savings[country]:,.2f} {money}", f"{sums['losses']:,}", f"{sums['windows']:,}",
                f"{sums['reviews']:,}",
            )  # fmt: skip
        out.print(rows)
        for reason, count in sorted(self._refused.items()):
            out.print(f"[yellow]{count:,} refused: {reason}[/]", highlight=False)
