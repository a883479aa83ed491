"""Changes of Rust code, one at a time, as somebody might make them by mistake: a comparison, a condition, a call left
out, a function that does nothing.

All of them are compiled into one library: each function becomes a `match` on the number of the change that is to be
tried, which is read from the environment, with a copy of its body for each. So a thousand changes are built as fast
as one.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*|/\*.*?\*/)
    |(?P<text>b?c?r(?P<hashes>\#*)".*?"(?P=hashes)|[bc]?"(?:\\.|[^"\\])*"|b?'(?:\\.[^']*|[^'\\])')
    |(?P<life>'[A-Za-z_]\w*)
    |(?P<word>[A-Za-z_]\w*|\d[\w.]*(?<!\.))
    |(?P<mark>\.\.=|\.\.\.|<<=|>>=|->|=>|==|!=|<=|>=|&&|\|\||\+=|-=|\*=|/=|%=|\|=|&=|\^=|::|\.\.|.)""",
    re.VERBOSE | re.DOTALL,
)
OPENING, CLOSING = {"(": ")", "[": "]", "{": "}"}, {")", "]", "}"}
KEYWORDS = {
    "as", "break", "const", "continue", "else", "extern", "fn", "for", "if", "impl", "in", "let", "loop", "match", "move",
    "mut", "pub", "ref", "return", "static", "struct", "trait", "type", "unsafe", "use", "where", "while",
}  # fmt: skip
# What each operator might be confused with.
MISTAKES = {
    "==": ["!="],
    "!=": ["=="],
    "<": ["<=", ">="],
    ">": [">=", "<="],
    "<=": ["<", ">"],
    ">=": [">", "<"],
    "&&": ["||"],
    "||": ["&&"],
    "+": ["-"],
    "-": ["+"],
    "*": ["/"],
    "/": ["*"],
    "%": ["/"],
    "+=": ["-="],
    "-=": ["+="],
    "|=": ["&="],
    "&=": ["|="],
}
# What a function of each type may return if it does nothing.
NOTHING = {
    "": ["()"],
    "bool": ["true", "false"],
    "Result<()>": ["Ok(())"],
    "sys::Result<()>": ["Ok(())"],
    "Result<bool>": ["Ok(true)", "Ok(false)"],
    "sys::Result<bool>": ["Ok(true)", "Ok(false)"],
    "usize": ["0", "1"],
    "u64": ["0", "1"],
    "i64": ["0", "1"],
    "i32": ["0", "1", "-1"],
    "c_int": ["0", "-1"],
    "u32": ["0", "1"],
    "Duration": ["Duration::ZERO"],
    "String": ["String::new()"],
    "&[u8]": ['b""'],
}


@dataclasses.dataclass(frozen=True)
class Token:
    kind: str
    text: str
    start: int
    end: int


@dataclasses.dataclass(frozen=True)
class Change:
    """Replaces a part of a file."""

    start: int
    end: int
    by: str
    what: str


@dataclasses.dataclass(frozen=True)
class Function:
    name: str
    returns: str
    # From its opening brace to just behind its closing brace.
    start: int
    end: int
    changes: tuple[Change, ...]


def tokens(source: str) -> list[Token]:
    found = []
    for match in TOKEN.finditer(source):
        kind = match.lastgroup if match.lastgroup != "hashes" else "text"
        if kind and kind != "space":
            found.append(Token(kind, match.group(), match.start(), match.end()))
    return found


def closing(found: list[Token], opening: int) -> int:
    """The index of the token that closes what this one opens."""
    depth = 0
    for index in range(opening, len(found)):
        token = found[index]
        if token.kind == "mark":
            depth += (token.text in OPENING) - (token.text in CLOSING)
            if depth == 0:
                return index
    raise ValueError("a bracket that is never closed")


def without_tests(found: list[Token]) -> list[Token]:
    """Leaves out what is compiled only for tests."""
    kept: list[Token] = []
    index = 0
    while index < len(found):
        if [token.text for token in found[index : index + 7]] == ["#", "[", "cfg", "(", "test", ")", "]"]:
            while found[index].text not in ("{", ";"):
                index += 1
            index = closing(found, index) + 1 if found[index].text == "{" else index + 1
            continue
        kept.append(found[index])
        index += 1
    return kept


def functions(source: str) -> Iterator[Function]:
    """The outermost functions, with all their changes."""
    found = without_tests(tokens(source))
    index = 0
    while index < len(found) - 1:
        if found[index].text != "fn" or found[index + 1].kind != "word":
            index += 1
            continue
        is_const = any(token.text == "const" for token in found[max(0, index - 3) : index] if token.kind == "word")
        name = found[index + 1].text
        index += 2
        if found[index].text == "<":
            depth = 0
            while True:
                depth += (found[index].text == "<") - (found[index].text == ">")
                index += 1
                if depth == 0:
                    break
        index = closing(found, index) + 1
        signature = index
        while found[index].text not in ("{", ";"):
            index = closing(found, index) + 1 if found[index].text in OPENING else index + 1
        if found[index].text == ";":
            continue
        words = [token.text for token in found[signature:index]]
        returns = ""
        if words[:1] == ["->"]:
            end = words.index("where") if "where" in words else len(words)
            last = found[signature + end - 1]
            returns = source[found[signature + 1].start : last.end]
        close = closing(found, index)
        if not is_const and "impl " not in returns:
            body = found[index : close + 1]
            yield Function(name, returns, body[0].start, body[-1].end, tuple(changes(source, body, returns)))
        index = close + 1


def is_operand(token: Token) -> bool:
    return token.kind == "text" or (token.kind == "word" and token.text not in KEYWORDS) or token.text in (")", "]", "}", "?")


def is_spaced(source: str, token: Token) -> bool:
    return source[token.start - 1].isspace() and source[token.end].isspace()


def changes(source: str, body: list[Token], returns: str) -> Iterator[Change]:
    inner = source[body[0].start + 1 : body[-1].end - 1]
    for nothing in NOTHING.get(returns, ["None"] if returns.startswith("Option<") else []):
        if inner.strip() != nothing:
            yield Change(body[0].start + 1, body[-1].end - 1, f" {nothing} ", f"returns {nothing}")
    if returns.startswith(("Result<Option<", "sys::Result<Option<")):
        yield Change(body[0].start + 1, body[-1].end - 1, " Ok(None) ", "returns Ok(None)")
    operators = list(changes_of_operators(source, body))
    yield from operators
    yield from changes_of_conditions(source, body, {change.start for change in operators})
    yield from statements(source, body)


def changes_of_operators(source: str, body: list[Token]) -> Iterator[Change]:
    for before, token, after in zip(body, body[1:], body[2:]):
        if token.kind == "word" and token.text in ("true", "false"):
            other = "false" if token.text == "true" else "true"
            # Patterns of a match come before an arrow.
            if after.text not in ("=>", "|", "if") or before.text == "=>":
                yield Change(token.start, token.end, other, f"{token.text} → {other}")
        if token.kind != "mark":
            continue
        if token.text in MISTAKES and is_operand(before) and is_spaced(source, token):
            for mistake in MISTAKES[token.text]:
                yield Change(token.start, token.end, mistake, f"{token.text} → {mistake}")
        is_not = token.text == "!" and before.kind != "word" or token.text == "!" and before.text in KEYWORDS
        if is_not and after.text not in ("[", "{"):
            yield Change(token.start, token.end, "", "! → nothing")


def changes_of_conditions(source: str, body: list[Token], changed: set[int]) -> Iterator[Change]:
    for index, token in enumerate(body):
        if token.text != "if" or token.kind != "word" or body[index + 1].text == "let":
            continue
        end = index + 1
        while body[end].text not in ("{", "=>"):
            end = closing(body, end) + 1 if body[end].text in OPENING else end + 1
        start, stop = body[index + 1].start, body[end - 1].end
        text = source[start:stop]
        if body[end].text == "=>":
            for value in ("true", "false"):
                yield Change(start, stop, value, f"guard {short(text)} → {value}")
        elif not any(start <= place < stop for place in changed):
            yield Change(start, stop, f"!({text})", f"if {short(text)} → if not")


NOT_DELETED = {
    "let", "return", "break", "continue", "use", "const", "static", "if", "match", "for", "while", "loop", "fn", "impl", "struct",
}  # fmt: skip


def statements(source: str, body: list[Token]) -> Iterator[Change]:
    """Calls that are made for their effect."""
    for index in range(1, len(body) - 1):
        first = body[index]
        if body[index - 1].text not in ("{", "}", ";"):
            continue
        is_ignored = [token.text for token in body[index : index + 3]] == ["let", "_", "="]
        if first.kind != "word" and first.text not in ("*", "("):
            continue
        if first.text in NOT_DELETED and not is_ignored:
            continue
        end = index
        while end < len(body) and body[end].text not in (";", ",", "=>", "}", ")"):
            end = closing(body, end) + 1 if body[end].text in OPENING else end + 1
        if end < len(body) and body[end].text == ";":
            text = source[first.start : body[end].end]
            yield Change(first.start, body[end].end, "", f"without {short(text)}")


def short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 90 else text[:87] + "…"
