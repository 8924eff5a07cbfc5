"""Small rule bases over a handful of data, and every verdict that the outcomes of those data can lead to.

Written apart from the code under test: values are numbers, comparisons are Python's, logic is the oracle's, and sets
of data are tried one after another.
"""

from dataclasses import replace
from decimal import Decimal
from itertools import combinations, product
from operator import ge, gt, le, lt

from hypothesis import strategies as st
from msgspec import structs
from pydantic import TypeAdapter

from mscprotocol.case import Request
from mscprotocol.definitions import FindingDefinition, Ladder, Score
from mscprotocol.deterioration import summarise
from mscprotocol.knowledge_forms import (
    ConclusionLeaf,
    ConditionLeaf,
    Expression,
    FindingLeaf,
    Group,
    MeasurementLeaf,
    ScoreLeaf,
    UnknownIf,
    walk_leaves,
)
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.protocols import Criterion
from mscprotocol.rulebook import compile_rulebook
from tests import oracle
from tests.core.records import AT, a_record, attested, between, measured
from tests.rule_oracles import graver_first

EXPRESSION = TypeAdapter(Expression)
COMPARE = {"lt": lt, "lte": le, "gt": gt, "gte": ge}
REQUEST = Request(AT)
SOURCES = ({"id": "site-policy", "mark": "site"},)
STATES = {"oxygen_step": ("worse", "better", "stable"), "pf_ratio": ("worse", "better", "reversing", "stable")}

# What may be asked of each quantity or condition, the values that tell all answers apart, and the data it takes.
ASKED = {
    "platelets": [{"measurement": "platelets", "lt": "50 10*9/L"}, {"measurement": "platelets", "gte": "100 10*9/L"}],
    "fibrinogen": [{"measurement": "fibrinogen", "lte": "1.0 g/L"}, {"measurement": "fibrinogen", "known": True}],
    "inr": [{"measurement": "inr", "gt": "1.2 1"}, {"measurement": "inr", "known": True}],
    "d_dimer_ratio": [{"measurement": "d_dimer_ratio", "gte": "2 1"}, {"measurement": "d_dimer_ratio", "gt": "4 1"}],
    "pf_ratio": [{"measurement": "pf_ratio", "lte": "300 mm[Hg]"}, {"measurement": "pf_ratio", "lt": "100 mm[Hg]"}],
    "oxygen_support": [
        {"measurement": "oxygen_support", "answer": ["imv", "ecmo"]},
        {"finding": "room_air"},
        {"unknown_if": "on_niv"},
    ],
    "respiratory_rate": [{"measurement": "respiratory_rate", "gte": "30 /min", "unless": "controlled_ventilation"}],
    "spo2": [{"measurement": "spo2", "lte": "93 %", "not_met_needs": "room_air"}],
    "norepinephrine_rate": [
        {"measurement": "norepinephrine_rate", "gt": "0.1 ug/kg/min", "within": "24 h", "worst": True},
    ],
    "shock": [{"condition": "shock"}],
    "malignancy": [{"condition": "malignancy"}],
    "vasopressor": [{"condition": "vasopressor"}],
    "score": [
        {"score": "made", "gte": "2 1"},
        {"score": "made", "lte": "0 1"},
        {"score": "made", "items": ["a"], "gt": "1 1"},
    ],
    "ladder": [
        {"conclusion": "classes", "met": ["grave", "middle"], "not_met": ["light"], "review": ["none"]},
        {"conclusion": "classes", "met": ["none"], "not_met": ["grave"]},
    ],
    "trend": [
        {"conclusion": "trend", "met": ["worsening"], "not_met": ["stable", "improving"], "review": ["conflicting"]},
    ],
}
VALUES = {
    "platelets": [49, 50, 75, 100],
    "fibrinogen": ["0.9", 1, 2],
    "inr": ["1.2", "1.3"],
    "d_dimer_ratio": [1, 2, 3, 5],
    "pf_ratio": [99, 100, 300, 301],
    "oxygen_support": ["room_air", "low_flow", "niv", "imv"],
    "respiratory_rate": [29, 30],
    "spo2": [93, 94],
    "norepinephrine_rate": [0, "0.05", "0.2"],
}
DATA = {"d_dimer_ratio": ("d_dimer",), "pf_ratio": ("pao2", "fio2")}
# Data that have to do with each other, and none in particular.
TOGETHER = [
    [],
    ["respiratory_rate", "oxygen_support"],
    ["spo2", "oxygen_support"],
    ["vasopressor", "norepinephrine_rate"],
    ["d_dimer_ratio"],
]
CONDITIONS = ("shock", "malignancy", "vasopressor")
KNOWN = [
    measured("platelets", 60),
    measured("d_dimer", between(3, 5), upper_limit=between(1, 1)),
    measured("d_dimer", between(5, 9), upper_limit=between(1, 1)),
    measured("oxygen_support", "niv"),
    measured("inr", "1.25"),
    measured("spo2", 96),
    attested("shock", "no"),
    attested("malignancy", "yes"),
]


PARTS = {
    "score": {"a": {"text": "a", "rows": [{"points": 2, "when": {"condition": "shock"}}]}},
    "ladder": [{"name": "grave", "when": {"condition": "shock"}}],
}


class SmallRules:
    """A protocol of made criteria over a few data, with the record of what is known."""

    def __init__(self, criteria, entries=(), parts=PARTS):
        base = load_knowledge()
        course = base.definitions["deterioration"]
        signals = {name: course.signals[name] for name in STATES}
        score = {"items": parts["score"]}
        ladder = {"rungs": parts["ladder"], "otherwise": "none"}
        made = {
            "deterioration": course.model_copy(update={"signals": signals}),
            "made": Score.model_validate({"id": "made", "kind": "score", "text": "Made", "sources": SOURCES, **score}),
            "classes": Ladder.model_validate(
                {"id": "classes", "kind": "ladder", "text": "Classes", "sources": SOURCES, **ladder}
            ),
        }
        rest = {"stage": "screening", "text": "Made", "sources": SOURCES}
        rules = {name: Criterion.model_validate({**one, **rest}) for name, one in criteria.items()}
        protocol = base.protocols["seed-covid-4x"].model_copy(update={"criteria": tuple(rules)})
        self.knowledge = replace(
            base,
            definitions=base.definitions | made,
            criteria=base.criteria | rules,
            protocols={"made": protocol},
            thresholds=dict(base.thresholds),
        )
        expressions = [one.when for one in rules.values()] + [rung.when for rung in made["classes"].rungs]
        expressions += [row.when for item in made["made"].items.values() for row in item.rows]
        for expression in expressions:
            self._note_thresholds(expression)
        self.book = compile_rulebook(self.knowledge, "made")
        self.criteria = rules
        self.record = a_record(*entries)

    def _note_thresholds(self, expression):
        for leaf in walk_leaves(expression):
            if isinstance(leaf, MeasurementLeaf) and leaf.comparison is not None:
                operator, limit = leaf.comparison
                self.knowledge.thresholds[id(leaf)] = (operator, limit.value)


# -- what may be drawn -----------------------------------------------------------------------------


@st.composite
def small_rules(draw):
    """One to three criteria over up to four sorts of data, some of which are known."""
    names = sorted(VALUES.keys() | set(CONDITIONS))
    plain = draw(st.sampled_from(TOGETHER)) + draw(st.lists(st.sampled_from(names), min_size=1, max_size=2))
    plain = list(dict.fromkeys(plain))[:3]
    pool = [leaf for name in plain for leaf in ASKED[name]]
    usable = [leaf for leaf in pool if "unknown_if" not in leaf]
    parts = {"score": draw(_items(usable or pool)), "ladder": draw(_rungs(pool))}
    more = draw(st.lists(st.sampled_from(["score", "ladder", "trend"]), max_size=2, unique=True))
    whole = pool + [leaf for name in more if name == "score" for leaf in ASKED[name]]
    criteria = {}
    for number in range(draw(st.integers(1, 3))):
        readings = [leaf for name in more if name != "score" for leaf in ASKED[name]]
        when = draw(st.sampled_from(readings)) if readings and draw(st.booleans()) else draw(_expressions(whole))
        role = draw(st.sampled_from(["inclusion", "exclusion"]))
        criteria[f"C-{number}"] = {"role": role, "when": when}
    known = [one for one in KNOWN if one.name in plain or f"{one.name}_ratio" in plain]
    entries = draw(st.lists(st.sampled_from(known), max_size=2, unique_by=lambda one: one.name)) if known else []
    return SmallRules(criteria, entries, parts)


def _expressions(pool):
    leaves = st.sampled_from(pool)
    return leaves | _groups(leaves | _groups(leaves))


def _groups(members):
    kinds = st.sampled_from(["all_of", "any_of", "none_of"])
    return st.builds(lambda kind, chosen: {kind: chosen}, kinds, st.lists(members, min_size=1, max_size=3))


@st.composite
def _items(draw, pool):
    rows = st.builds(lambda points, when: {"points": points, "when": when}, st.integers(0, 2), _expressions(pool))
    return {name: {"text": name, "rows": draw(st.lists(rows, min_size=1, max_size=2))} for name in ("a", "b")}


@st.composite
def _rungs(draw, pool):
    # Two classes may not rest on the same condition; a group of its own keeps them apart.
    return [{"name": name, "when": {"any_of": [draw(_expressions(pool))]}} for name in ("grave", "middle", "light")]


# -- every outcome of every set of data ------------------------------------------------------------


class World:
    """A case in which some data have been obtained: a value, an answer or a state for each of their quantities."""

    def __init__(self, rules, case, values):
        self.rules, self.case, self.values = rules, case, values

    def verdict(self):
        answers = [(one.role, self.truth(one.when)) for one in self.rules.criteria.values()]
        if any(answer == ("met" if role == "exclusion" else "not_met") for role, answer in answers):
            return "ineligible"
        return "undetermined" if any(answer == "unknown" for _, answer in answers) else "eligible"

    def truth(self, expression):
        definitions = self.rules.knowledge.definitions
        match expression:
            case Group():
                kind = next(kind for kind in ("all_of", "any_of", "none_of") if getattr(expression, kind))
                return oracle.group(kind, [self.truth(member) for member in expression.members])
            case FindingLeaf(finding=name):
                assert isinstance(definitions[name], FindingDefinition)
                return self.truth(definitions[name].when)
            case UnknownIf(unknown_if=name):
                return oracle.guard(self.truth(definitions[name].when))
            case ConclusionLeaf(conclusion=name):
                concluded = self._trend() if name == "trend" else self._class(definitions[name])
                return oracle.reading(expression.met, expression.not_met, concluded, graver_first(definitions[name]))
            case ScoreLeaf():
                return self._score(definitions[expression.score], expression)
            case _:
                before = self.case.findings.find(expression).truth.value
                return before if before != "unknown" else self._leaf(expression)

    def _leaf(self, leaf):
        if isinstance(leaf, ConditionLeaf):
            return self._condition(leaf.condition)
        value = self.values.get(leaf.measurement)
        if value is None:
            return "unknown"
        if leaf.known:
            return "met"
        if leaf.answer is not None:
            return "met" if value in leaf.answer else "not_met"
        if leaf.unless and self.truth(FindingLeaf(finding=leaf.unless)) == "met":
            return "unknown"
        operator, limit = leaf.comparison
        if COMPARE[operator](Decimal(value), limit.value):
            return "met"
        lacks = leaf.not_met_needs and self.truth(FindingLeaf(finding=leaf.not_met_needs)) != "met"
        return "unknown" if lacks else "not_met"

    def _condition(self, name):
        answer = self.values.get(name)
        rate = self.values.get("norepinephrine_rate") if name == "vasopressor" else None
        says = {answer} | ({"met"} if rate is not None and Decimal(rate) > 0 else set())
        return "unknown" if says >= {"met", "not_met"} or says == {None} else (says - {None}).pop()

    def _class(self, ladder):
        names = [rung.name for rung in ladder.rungs]
        return oracle.ladder(names, ladder.otherwise, [self.truth(rung.when) for rung in ladder.rungs])

    def _score(self, score, leaf):
        ends = [self._points(score.items[name]) for name in leaf.items or score.items]
        operator, limit = leaf.comparison
        answers = {COMPARE[operator](sum(chosen), limit.value) for chosen in product(*ends)}
        return "unknown" if len(answers) > 1 else ("met" if answers.pop() else "not_met")

    def _points(self, item):
        possible = []
        for row in item.rows:
            truth = self.truth(row.when)
            if truth != "not_met":
                possible.append(row.points)
            if truth == "met":
                break
        else:
            possible.append(item.otherwise)
        return {min(possible), max(possible)}

    def _trend(self):
        signals = [
            structs.replace(one, state=self.values.get(f"trend:{one.name}", one.state)) for one in self.case.signals
        ]
        decision = self.rules.knowledge.definitions["trend"]
        rows = [(row.all, row.any, row.conclude) for row in decision.rows]
        return oracle.decision(rows, decision.otherwise, summarise(signals))


def try_all(rules, case):
    """The minimal sets of data that could exclude and those that could allow, by trying every outcome of every set."""
    choices = {name: values for name, values in _choices(rules, case) if values}
    data = sorted({datum for name in choices for datum in DATA.get(name, (name,))})
    found = {"ineligible": [], "eligible": []}
    for count in range(len(data) + 1):
        for chosen in combinations(data, count):
            obtained = [name for name in choices if set(DATA.get(name, (name,))) <= set(chosen)]
            verdicts = {
                World(rules, case, dict(zip(obtained, values, strict=True))).verdict()
                for values in product(*(choices[name] for name in obtained))
            }
            for verdict in verdicts & found.keys():
                if not any(one < set(chosen) for one in found[verdict]):
                    found[verdict].append(set(chosen))
    return found["ineligible"], found["eligible"]


def _choices(rules, case):
    """The quantities and conditions that some criterion still asks, each with the outcomes that it may have."""
    asked = list(_asked(rules, [one.when for one in rules.criteria.values()]))
    for name in dict.fromkeys(_subject(leaf) for leaf in asked if case.findings.find(leaf).truth.value == "unknown"):
        if name in VALUES:
            yield name, VALUES[name]
        else:
            yield name, ["met", "not_met"]
    if any(isinstance(one.when, ConclusionLeaf) and one.when.conclusion == "trend" for one in rules.criteria.values()):
        lacking = [one.name for one in case.signals if one.state == "insufficient"]
        yield from ((f"trend:{name}", list(STATES[name])) for name in lacking)


def _subject(leaf):
    return leaf.condition if isinstance(leaf, ConditionLeaf) else leaf.measurement


def _asked(rules, expressions):
    definitions = rules.knowledge.definitions
    for expression in expressions:
        for leaf in walk_leaves(expression):
            match leaf:
                case FindingLeaf(finding=name) | UnknownIf(unknown_if=name):
                    yield from _asked(rules, [definitions[name].when])
                case ConclusionLeaf(conclusion="classes"):
                    yield from _asked(rules, [rung.when for rung in definitions["classes"].rungs])
                case ScoreLeaf(score=name):
                    yield from _asked(rules, [r.when for item in definitions[name].items.values() for r in item.rows])
                case MeasurementLeaf() | ConditionLeaf():
                    yield leaf
                    needed = [leaf.unless, leaf.not_met_needs] if isinstance(leaf, MeasurementLeaf) else []
                    yield from _asked(rules, [definitions[name].when for name in needed if name])
