from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import any_text

from tocsin._text import clean, clean_line, longest_fit

MARK = len("… [100,000 more characters]")

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"


def fits_in(limit):
    return lambda text: len(text) <= limit


def kept(text, cut):
    """Return the beginning that a cut keeps; the rest must be the mark alone."""
    beginning, _, mark = cut.rpartition("… [")
    assert mark.endswith(" more characters]")
    assert text.startswith(beginning)
    return beginning


@settings(deadline=None)
@given(any_text)
def test_clean_can_be_sent(text):
    """Whatever it was, it can be encoded, and has no control or override in it."""
    cleaned = clean(text)

    assert cleaned.encode().decode() == cleaned
    categories = {c: unicodedata.category(c) for c in cleaned if c not in "\n\t"}
    assert not {"Cc", "Cs", "Zl", "Zp"} & set(categories.values())
    directions = set(map(unicodedata.bidirectional, cleaned))
    assert not {"LRE", "RLE", "PDF", "LRO", "RLO"} & directions
    assert not {"LRI", "RLI", "FSI", "PDI"} & directions


@settings(deadline=None)
@given(any_text)
def test_clean_once_is_enough(text):
    """Cleaning what is clean changes nothing."""
    assert clean(clean(text)) == clean(text)
    assert clean_line(clean_line(text)) == clean_line(text)


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=("C", "Zl", "Zp"))))
def test_clean_keeps_what_is_harmless(text):
    """Valid text without controls is left alone."""
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a\r\nb\rc\nd", "a\nb\nc\nd"),
        ("a\u2028b\u2029c\x85d\x0be\x0cf", "a\nb\nc\nd\ne\nf"),
        ("a\0b\x1b[31m", "a\ufffdb\ufffd[31m"),
        ("a\tb", "a\tb"),
        ("\ud800a\udc00", "\ufffda\ufffd"),
        ("\ud83d\ude00", "\U0001f600"),
        ("evil\u202egnp.exe", "evilgnp.exe"),
        ("\u2066a\u2069", "a"),
        ("\ufeffa", "\ufeffa"),
        (FAMILY, FAMILY),
    ],
    ids=ascii,
)
def test_clean(text, cleaned):
    """Controls become visible, line ends line feeds, overrides nothing."""
    assert clean(text) == cleaned


@settings(deadline=None)
@given(any_text)
def test_clean_line_is_one_line(text):
    """One line has no line end, and no space around it."""
    line = clean_line(text)

    assert line.splitlines() in ([], [line])
    assert line == line.strip()


@settings(deadline=None, max_examples=300)
@given(any_text.map(clean), st.integers(MARK, 400))
def test_cut_fits(text, limit):
    """What does not fit becomes a beginning of it with a mark, and fits."""
    cut = longest_fit(text, fits_in(limit), limit)

    assert len(cut) <= limit
    if len(text) <= limit:
        assert cut == text
    else:
        kept(text, cut)


@settings(deadline=None, max_examples=300)
@given(any_text.map(clean), st.integers(MARK, 2000), st.integers(0, 5))
def test_cut_fits_where_an_escape_grows_it(text, limit, growth):
    """What fits is asked of the fitting, not of the length."""

    def fits(text):
        return sum(1 if c.isalnum() else 1 + growth for c in text) <= limit

    cut = longest_fit(text * 9, fits, limit)

    mark_alone = f"… [{len(text) * 9:,} more characters]"
    assert fits(cut) or not fits(mark_alone)


@settings(deadline=None)
@given(any_text.map(clean), st.integers(-5, MARK))
def test_cut_without_room(text, limit):
    """With no room for anything it ends all the same, and leaves at most the mark."""
    cut = longest_fit(text, fits_in(limit), limit)

    assert len(cut) <= max(limit, MARK)


@pytest.mark.parametrize("limit", range(1100, 1130))
def test_cut_fits_when_its_mark_grows(limit):
    """Stepping back to a word's end may add a digit to the mark: it fits all the same."""
    assert len(longest_fit("ab " * 700, fits_in(limit), limit)) <= limit


def test_mark_says_how_much_is_missing():
    """The mark counts what is left out."""
    assert longest_fit("x" * 2000, fits_in(30), 30) == (
        "xxxxx… [1,995 more characters]"
    )


def test_nothing_is_missing_from_nothing():
    """An empty text is never marked as cut, however little room there is."""
    assert longest_fit("", lambda text: False, 10) == ""


def test_much_is_kept():
    """A cut keeps at least four fifths of what there is room for."""
    text = "word " * 1000

    cut = longest_fit(text, fits_in(1000), 1000)
    assert len(cut) > 800


@pytest.mark.parametrize("limit", range(60, 80))
def test_cut_between_words(limit):
    """A cut is made at a word's end when one is near."""
    text = "one two three four five " * 9

    assert text[len(kept(text, longest_fit(text, fits_in(limit), limit)))] == " "


def test_cut_between_lines():
    """A line's end is a better place than a word's."""
    text = f"{'a' * 40}\n{'b c ' * 99}"

    assert kept(text, longest_fit(text, fits_in(70), 70)) == "a" * 40


def test_cut_in_a_long_word():
    """With no place near, a cut is made in the middle of a word."""
    text = f"one {'x' * 99}"

    assert len(kept(text, longest_fit(text, fits_in(70), 70))) > 40


@pytest.mark.parametrize(
    "character",
    [
        "e\u0301\u0323",
        FAMILY,
        "\u2764\ufe0f",
        "1\ufe0f\u20e3",
        "\U0001f44d\U0001f3fd",
        "\U0001f1e9\U0001f1ea",
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    ],
    ids=["accents", "family", "heart", "keycap", "skin tone", "flag", "England"],
)
def test_cut_tears_no_character(character):
    """What people see as one character is kept whole or left out whole."""
    text = character * 40
    cuts = [longest_fit(text, fits_in(limit), limit) for limit in range(MARK, 60)]

    for cut in cuts:
        assert text.count(character, 0, len(kept(text, cut))) * character == kept(
            text, cut
        )


def test_cut_of_one_endless_character():
    """A million accents on one letter are cut before the letter, and that ends."""
    assert longest_fit("e" + "\u0301" * 10_000, fits_in(100), 100) == (
        "… [10,001 more characters]"
    )
