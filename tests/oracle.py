"""The oracle: strong Kleene logic in plain Python, as short as it can be, to compare the inference engine with."""

MET, NOT_MET, UNKNOWN = "met", "not_met", "unknown"


def negated(token):
    return {MET: NOT_MET, NOT_MET: MET}.get(token, token)


def any_of(tokens):
    return MET if MET in tokens else UNKNOWN if UNKNOWN in tokens else NOT_MET


def group(kind, tokens):
    if kind == "all_of":
        return negated(any_of([negated(token) for token in tokens]))
    return negated(any_of(tokens)) if kind == "none_of" else any_of(tokens)


def guard(token):
    return NOT_MET if token == NOT_MET else UNKNOWN


def ladder(names, otherwise, tokens):
    for place, (name, token) in enumerate(zip(names, tokens, strict=True)):
        if token == MET:
            return name if all(graver == NOT_MET for graver in tokens[:place]) else f"at_least:{name}"
    return UNKNOWN if UNKNOWN in tokens else otherwise


def reading(met, not_met, token, graver_first=()):
    """`at_least:x` may be x or any graver class: all of them named alike answer for it."""
    possible = {token}
    if token.startswith("at_least:"):
        order = list(graver_first)
        possible = set(order[: order.index(token.removeprefix("at_least:")) + 1])
    for named, answer in ((met, MET), (not_met, NOT_MET)):
        if token in named or possible <= set(named):
            return answer
    return UNKNOWN


def decision(rows, otherwise, tokens):
    for wanted, alternatives, conclusion in rows:
        alternative = not alternatives or any(tokens[key] in allowed for key, allowed in alternatives.items())
        if alternative and all(tokens[key] in allowed for key, allowed in wanted.items()):
            return conclusion
    return otherwise
