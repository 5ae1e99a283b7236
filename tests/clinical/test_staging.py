"""TNM and stage groups: every combination of section 3.3 of the specification, and every size limit of every system."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.clinical.assess import assess
from cds_service.clinical.staging import stage_group
from cds_service.domain.facts import FACTS, Facts
from cds_service.domain.findings import Assessment, Stage
from cds_service.knowledge import load_knowledge

KNOWLEDGE = load_knowledge()
PANCREAS = Facts(age_years=58, nen_status="confirmed", primary_site="pancreas", differentiation="well")
CARCINOMA = replace(PANCREAS, differentiation="poor")
NET_SYSTEMS = ("enets", "ajcc7", "ajcc8", "ajcc9")
GUT = ("stomach", "duodenum", "ampulla", "jejunum-ileum", "appendix", "colon", "rectum")


@cache
def assessed(facts: Facts) -> Assessment:
    """The assessment of facts."""
    return assess(facts, (), KNOWLEDGE)


def staged(base: Facts, **facts: Any) -> dict[str, Stage]:
    """Stage by system."""
    return dict(assessed(replace(base, **facts)).tnm)


# --- stage groups -----------------------------------------------------------------------------------------------------

PANCREAS_GROUPS = """
        enets        ajcc7        ajcc8        ajcc9        ajcc8-exocrine
T1 N0   I            IA           I            I            IA
T2 N0   IIA          IB           II           II           IB
T3 N0   IIB          IIA          II           II           IIA
T4 N0   IIIA         III          III          III          III
T1 N1   IIIB         IIB          III          III          IIB
T2 N1   IIIB         IIB          III          III          IIB
T3 N1   IIIB         IIB          III          III          IIB
T4 N1   IIIB         III          III          III          III
T1 N2   -            -            -            -            III
T2 N2   -            -            -            -            III
T3 N2   -            -            -            -            III
T4 N2   -            -            -            -            III
TX N0   undetermined undetermined undetermined undetermined undetermined
T0 N0   undetermined undetermined undetermined undetermined undetermined
TX N1   IIIB         undetermined III          III          undetermined
T0 N1   IIIB         IIB          III          III          undetermined
TX N2   -            -            -            -            III
T0 N2   -            -            -            -            undetermined
T1 NX   undetermined undetermined undetermined undetermined undetermined
T2 NX   undetermined undetermined undetermined undetermined undetermined
T3 NX   undetermined II           undetermined undetermined undetermined
T4 NX   undetermined III          III          III          III
TX NX   undetermined undetermined undetermined undetermined undetermined
T0 NX   undetermined undetermined undetermined undetermined undetermined
"""
"""Section 3.3 at M0; "-" where the system has no such category."""

GUT_GROUPS = {
    ("ajcc8", "stomach duodenum ampulla jejunum-ileum appendix"): """
       N0   N1   NX
T1     I    III  -
T2     II   III  -
T3     II   III  -
T4     III  III  III
TX     -    III  -
T0     -    III  -
""",
    ("ajcc8", "colon rectum"): """
       N0   N1   NX
T1a    I    IIIB -
T1b    I    IIIB -
T1     I    IIIB -
T2     IIA  IIIB -
T3     IIB  IIIB -
T4     IIIA IIIB III
TX     -    IIIB -
T0     -    -    -
""",
    ("ajcc7", "stomach duodenum ampulla jejunum-ileum"): """
       N0   N1   NX
T1     I    IIIB -
T2     IIA  IIIB -
T3     IIB  IIIB -
T4     IIIA IIIB -
TX     -    IIIB -
T0     -    IIIB -
""",
    ("ajcc7", "colon rectum"): """
       N0   N1   NX
T1a    I    IIIB -
T1b    I    IIIB -
T1     I    IIIB -
T2     IIA  IIIB -
T3     IIB  IIIB -
T4     IIIA IIIB -
TX     -    IIIB -
T0     -    IIIB -
""",
    ("ajcc7", "appendix"): """
       N0   N1   NX
T1a    I    III  -
T1b    I    III  -
T1     I    III  -
T2     II   III  -
T3     II   III  -
T4     III  III  III
TX     -    III  -
T0     -    III  -
""",
    ("enets", "colon rectum"): """
       N0   N1   NX
T1a    IA   IIIB -
T1b    IB   IIIB -
T1     -    IIIB -
T2     IIA  IIIB -
T3     IIB  IIIB -
T4     IIIA IIIB -
TX     -    IIIB -
T0     -    IIIB -
""",
}
"""Sections 3.5 at M0; "-" is undetermined. Version 9 is assumed equal to AJCC 8."""


def group(site: str, system: str, t: str, n: str, m: str) -> str:
    """Stage group of a combination, or "undetermined"."""
    return stage_group(site, system, t, n, m, KNOWLEDGE)[0] or "undetermined"


def pancreas_table() -> str:
    """All combinations of T and N at M0, in the form of the literal table."""
    _, header, *rows = PANCREAS_GROUPS.split("\n")
    systems = header.split()
    lines = [header]
    for row in filter(None, rows):
        t, n = row.split()[:2]
        cells = [
            "-" if n == "N2" and system != "ajcc8-exocrine" else group("pancreas", system, t, n, "M0")
            for system in systems
        ]
        lines.append(f"{t} {n}   " + "".join(f"{cell:<13}" for cell in cells).rstrip())
    return "\n" + "\n".join(lines) + "\n"


def test_the_groups_of_the_pancreas_are_those_of_the_specification() -> None:
    """All T with all N at M0, in the four NET systems and the exocrine one, are grouped as section 3.3 says."""
    table = pancreas_table()
    print(table)  # noqa: T201 - shown when the test fails
    assert table == PANCREAS_GROUPS


@pytest.mark.parametrize("system", [*NET_SYSTEMS, "ajcc8-exocrine"])
@pytest.mark.parametrize("n", ["N0", "N1", "N2", "NX"])
@pytest.mark.parametrize("t", ["T0", "TX", "T1", "T2", "T3", "T4"])
def test_distant_metastases_are_stage_iv_for_any_t_and_n(t: str, n: str, system: str) -> None:
    """M1, with or without its subcategory, is stage IV in every system."""
    subcategories = ("M1", "M1a", "M1b", "M1c") if system in ("ajcc8", "ajcc9") else ("M1",)
    for m in subcategories:
        assert group("pancreas", system, t, n, m) == "IV"
        for site in GUT:
            if (site, system, "stage") in KNOWLEDGE.staging:
                assert group(site, system, t, n, m) == "IV"


@pytest.mark.parametrize(("system", "sites"), [(key[0], key[1]) for key in GUT_GROUPS])
def test_the_groups_of_the_gut_are_those_of_the_specification(system: str, sites: str) -> None:
    """All T with all N at M0 are grouped as section 3.5 says, and version 9 like AJCC 8."""
    header, *rows = [line.split() for line in GUT_GROUPS[system, sites].strip().split("\n")]
    for site in sites.split():
        for t, *cells in rows:
            for n, cell in zip(header, cells, strict=True):
                expected = "undetermined" if cell == "-" else cell
                for edition in ("ajcc8", "ajcc9") if system == "ajcc8" else (system,):
                    assert group(site, edition, t, n, "M0") == expected, (site, edition, t, n)


@pytest.mark.parametrize("system", ["ajcc8", "ajcc9"])
@pytest.mark.parametrize("t", ["T0", "TX", "T1", "T2", "T3", "T4"])
def test_n2_of_the_small_bowel_is_stage_iii(t: str, system: str) -> None:
    """TNM-57: any T with N2 is stage III; other sites of the gut have no N2."""
    assert group("jejunum-ileum", system, t, "N2", "M0") == "III"
    assert group("stomach", system, t, "N2", "M0") == "undetermined"


def test_tis_of_the_stomach_is_stage_0() -> None:
    """TNM-59: Tis N0 is stage 0 in AJCC 7, and with nodes IIIB."""
    assert [group("stomach", "ajcc7", "Tis", n, "M0") for n in ("N0", "N1", "NX")] == ["0", "IIIB", "undetermined"]


T_FACTS: dict[str, dict[str, Any]] = {
    "T1": {"size_mm": 10.0, "extension": ()},
    "T2": {"size_mm": 30.0, "extension": ()},
    "T3": {"size_mm": 50.0, "extension": ("duodenum",)},
    "T4": {"size_mm": 30.0, "extension": ("sma",)},
    "TX": {"extension": ()},
}
N_FACTS: dict[str, dict[str, Any]] = {
    "N0": {"nodes": "negative"},
    "N1": {"nodes": "positive", "nodes_positive_count": 2.0},
    "N2": {"nodes": "positive", "nodes_positive_count": 4.0},
    "NX": {},
}


@pytest.mark.parametrize("n", N_FACTS)
@pytest.mark.parametrize("t", T_FACTS)
def test_facts_lead_to_the_same_groups(t: str, n: str) -> None:
    """From facts to categories to group: the same as the table, in every system, at M0, M1 and unknown M."""
    for base in (PANCREAS, CARCINOMA):
        at_m0 = staged(base, metastases=(), **T_FACTS[t], **N_FACTS[n])
        at_m1 = staged(base, metastases=("liver",), **T_FACTS[t], **N_FACTS[n])
        open_m = staged(base, **T_FACTS[t], **N_FACTS[n])
        assert set(at_m0) == (set(NET_SYSTEMS) if base is PANCREAS else {"enets", "ajcc7", "ajcc8-exocrine"})
        for system, stage in at_m0.items():
            net_n = "N1" if n == "N2" and system != "ajcc8-exocrine" else n
            assert (stage.t[:2], stage.n) == (t, net_n)
            assert (stage.stage or "undetermined") == group("pancreas", system, t, net_n, "M0")
            assert stage.stage_if_m0 is None
            assert at_m1[system].stage == "IV"
            assert (open_m[system].m, open_m[system].stage) == (None, None)
            assert open_m[system].stage_if_m0 == stage.stage


# --- sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (1.0, ("T1", "T1", "T1", "T1")),
        (19.99, ("T1", "T1", "T1", "T1")),
        (20.0, ("T2", "T1", "T2", "T1")),
        (20.01, ("T2", "T2", "T2", "T2")),
        (39.99, ("T2", "T2", "T2", "T2")),
        (40.0, ("T2", "T2", "T2", "T2")),
        (40.01, ("T3", "T2", "T3", "T3")),
        (150.0, ("T3", "T2", "T3", "T3")),
    ],
)
def test_size_limits_of_the_pancreas(size: float, expected: tuple[str, ...]) -> None:
    """TNM-01 to 04, 36, 37: a limited tumour in ENETS, AJCC 7, AJCC 8 and version 9, and TNM-W1 at 20 mm only."""
    found = staged(PANCREAS, size_mm=size, extension=())
    assert tuple(found[system].t for system in NET_SYSTEMS) == expected
    warned = "TNM-W1" in assessed(replace(PANCREAS, size_mm=size, extension=())).warnings
    assert warned is (size == 20)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0.1, "T1a"),
        (5.0, "T1a"),
        (5.01, "T1b"),
        (10.0, "T1b"),
        (10.01, "T1c"),
        (19.99, "T1c"),
        (20.0, "T1c"),
        (20.01, "T2"),
        (40.0, "T2"),
        (40.01, "T3"),
    ],
)
def test_size_limits_of_the_exocrine_table(size: float, expected: str) -> None:
    """TNM-05: size alone up to 40 mm and beyond."""
    assert staged(CARCINOMA, size_mm=size, extension=())["ajcc8-exocrine"].t == expected


SHALLOW = {"depth": "submucosa", "extension": ()}


@pytest.mark.parametrize(
    ("site", "limit", "below", "at", "above"),
    [
        ("stomach", 10.0, "T1 T1 T1", "T1 T1 T1", "T2 T2 T2"),
        ("duodenum", 10.0, "T1 T1 T1", "T1 T1 T1", "T2 T2 T2"),
        ("ampulla", 10.0, "T1 T1 T1", "T1 T1 T1", "T2 T2 T2"),
        ("jejunum-ileum", 10.0, "T1 T1 T1", "T1 T1 T1", "T2 T2 T2"),
        ("appendix", 10.0, "T1a T1 T1", "T1a T1 T1", "T1b T1 T1"),
        ("appendix", 20.0, "T1b T1 T1", "T1b T1 T1", "T2 T2 T2"),
        ("appendix", 40.0, "T2 T2 T2", "T2 T2 T2", "T3 T3 T3"),
        ("colon", 10.0, "T1a T1a T1a", "T1b T1b T1a", "T1b T1b T1b"),
        ("colon", 20.0, "T1b T1b T1b", "T1b T1b T1b", "T2 T2 T2"),
        ("rectum", 10.0, "T1a T1a T1a", "T1b T1b T1a", "T1b T1b T1b"),
        ("rectum", 20.0, "T1b T1b T1b", "T1b T1b T1b", "T2 T2 T2"),
    ],
)
def test_size_limits_of_the_gut(site: str, limit: float, below: str, at: str, above: str) -> None:
    """TNM-40 to 51: below, at and above each limit in AJCC 7, AJCC 8 and version 9; ENETS colorectal like AJCC 8."""
    gut = replace(PANCREAS, primary_site=site)
    for size, expected in ((limit - 0.01, below), (limit, at), (limit + 0.01, above)):
        found = staged(gut, size_mm=size, **SHALLOW)
        assert [found[system].t for system in ("ajcc7", "ajcc8", "ajcc9")] == expected.split(), size
        if site in ("colon", "rectum"):
            assert found["enets"].t == found["ajcc8"].t
        else:
            assert "enets" not in found


@pytest.mark.parametrize(
    ("extension", "expected"),
    [
        ("peripancreatic-fat", "T1 T3 T1 T1 T1c"),
        ("duodenum", "T3 T3 T3 T3 T1c"),
        ("bile-duct", "T3 T3 T3 T3 T1c"),
        ("ampulla", "T3 T3 T4 T3 T1c"),
        ("stomach", "T4 T3 T4 T4 T1c"),
        ("spleen", "T4 T3 T4 T4 T1c"),
        ("colon", "T4 T3 T4 T4 T1c"),
        ("adrenal", "T4 T3 T4 T4 T1c"),
        ("kidney", "T4 T3 T4 T4 T1c"),
        ("other-organ", "T4 T3 T4 T4 T1c"),
        ("celiac-axis", "T4 T4 T4 T4 T4"),
        ("sma", "T4 T4 T4 T4 T4"),
        ("common-hepatic-artery", "T1 T3 T4 T4 T4"),
        ("portal-vein", "T1 T3 T4 T4 T1c"),
        ("smv", "T1 T3 T4 T4 T1c"),
        ("splenic-vessels", "T1 T3 T4 T4 T1c"),
    ],
)
def test_every_extension_of_a_15_mm_pancreatic_tumour(extension: str, expected: str) -> None:
    """TNM-01 to 10: what each structure makes of T in ENETS, AJCC 7, AJCC 8, version 9 and the exocrine table."""
    net = staged(PANCREAS, size_mm=15.0, extension=(extension,))
    carcinoma = staged(CARCINOMA, size_mm=15.0, extension=(extension,))
    found = [*(net[system].t for system in NET_SYSTEMS), carcinoma["ajcc8-exocrine"].t]
    assert found == expected.split()


@pytest.mark.parametrize("extension", ["duodenum", "celiac-axis", "spleen"])
def test_an_extension_counts_without_a_size(extension: str) -> None:
    """TNM-11: a T3 or T4 extension needs no size; a limited tumour without one is TX with TNM-W5."""
    without_size = staged(PANCREAS, extension=(extension,))
    with_size = staged(PANCREAS, size_mm=15.0, extension=(extension,))
    assert {s: v.t for s, v in without_size.items()} == {s: v.t for s, v in with_size.items()}
    assert {stage.t for stage in staged(PANCREAS, extension=()).values()} == {"TX"}
    assert "TNM-W5" in assessed(replace(PANCREAS, extension=())).warnings


SEVERITY = {"Tis": 0, "T1": 1, "T1a": 1, "T1b": 2, "T1c": 3, "T2": 4, "T3": 5, "T4": 6}
depths = st.sampled_from(FACTS["depth"].words)
sizes = st.floats(0.1, 200)


@given(st.sampled_from(GUT), sizes, sizes, depths, depths)
def test_a_larger_or_deeper_tumour_never_has_a_lower_t(
    site: str, one: float, other: float, depth: str, deeper: str
) -> None:
    """T is monotonic in size and in depth, in every system of every site of the gut."""
    small, large = sorted((one, other))
    shallow, deep = sorted((depth, deeper), key=FACTS["depth"].words.index)
    gut = replace(PANCREAS, primary_site=site)
    before = staged(gut, size_mm=small, depth=shallow, extension=())
    after = staged(gut, size_mm=large, depth=deep, extension=())
    for system, stage in before.items():
        assert SEVERITY[stage.t] <= SEVERITY[after[system].t]


@given(sizes, sizes, st.lists(st.sampled_from(FACTS["extension"].words[:16]), max_size=3), st.booleans())
def test_a_larger_pancreatic_tumour_never_has_a_lower_t(
    one: float, other: float, extension: list[str], carcinoma: bool
) -> None:
    """T is monotonic in size and in the list of structures reached, in every system of the pancreas."""
    small, large = sorted((one, other))
    base = CARCINOMA if carcinoma else PANCREAS
    before = staged(base, size_mm=small, extension=())
    after = staged(base, size_mm=large, extension=tuple(extension))
    for system, stage in before.items():
        assert SEVERITY[stage.t] <= SEVERITY[after[system].t]


# --- nodes and metastases ---------------------------------------------------------------------------------------------

LIMITED = replace(PANCREAS, size_mm=30.0, extension=(), nodes="negative")


@pytest.mark.parametrize(
    ("subsite", "station", "n", "m"),
    [
        ("head", "celiac-node", "N0", "M1b"),
        ("body", "celiac-node", "N1", "M0"),
        ("tail", "celiac-node", "N1", "M0"),
        ("head", "porta-hepatis-node", "N1", "M0"),
        ("body", "porta-hepatis-node", "N0", "M1b"),
        ("tail", "porta-hepatis-node", "N0", "M1b"),
    ],
)
def test_some_nodes_are_regional_for_one_part_and_distant_for_another(
    subsite: str, station: str, n: str, m: str
) -> None:
    """TNM-22: coeliac nodes are regional for body and tail and distant for the head; porta hepatis nodes conversely."""
    found = staged(LIMITED, pancreas_subsite=subsite, metastases=(station,))
    assert (found["ajcc8"].n, found["ajcc8"].m) == (n, m)
    assert (found["enets"].n, found["enets"].m) == (n, m[:2])
    with_liver = staged(LIMITED, pancreas_subsite=subsite, metastases=(station, "liver"))
    assert with_liver["ajcc8"].m == ("M1a" if m == "M0" else "M1c")


@pytest.mark.parametrize("subsite", [None, "other"])
@pytest.mark.parametrize("station", ["celiac-node", "porta-hepatis-node"])
def test_without_the_part_of_the_pancreas_such_a_node_is_neither(subsite: str | None, station: str) -> None:
    """TNM-22 with the part unknown: neither M0 nor M1 is claimed from that node alone, and no stage is given."""
    found = staged(LIMITED, pancreas_subsite=subsite, metastases=(station,))
    assert {(stage.m, stage.stage) for stage in found.values()} == {(None, None)}
    with_liver = staged(LIMITED, pancreas_subsite=subsite, metastases=(station, "liver"))
    assert {stage.stage for stage in with_liver.values()} == {"IV"}


def test_the_part_of_the_pancreas_is_asked_for_when_it_decides() -> None:
    """Section 0.2 with TNM-22: when only the part of the pancreas is unknown, it is the fact reported as missing."""
    found = assessed(replace(LIMITED, metastases=("celiac-node",)))
    assert "pancreas_subsite" in found.missing
    assert "metastases" not in found.missing


@pytest.mark.parametrize(("subsite", "next_step"), [("tail", "NXT-02"), ("head", "NXT-01")])
def test_the_next_step_follows_the_m_category(subsite: str, next_step: str) -> None:
    """NXT-01 speaks of stage IV, so a regional coeliac node (TNM-22) must not lead to it."""
    found = assessed(replace(LIMITED, pancreas_subsite=subsite, metastases=("celiac-node",)))
    assert {"NXT-01", "NXT-02"}.intersection(found.advice) == {next_step}


@pytest.mark.parametrize(
    ("metastases", "m"),
    [
        ((), "M0"),
        (("liver",), "M1a"),
        (("bone",), "M1b"),
        (("bone", "lung"), "M1b"),
        (("nodes-distant",), "M1b"),
        (("liver", "bone"), "M1c"),
        (("site-not-stated",), "M1"),
        (("liver", "site-not-stated"), "M1"),
        (None, None),
    ],
)
@pytest.mark.parametrize("site", ["pancreas", *GUT])
def test_m_and_its_subcategories(site: str, metastases: tuple[str, ...] | None, m: str | None) -> None:
    """TNM-23, 24, 56: liver only M1a, elsewhere only M1b, both M1c, site not stated M1, unknown stays unknown."""
    found = assessed(replace(PANCREAS, primary_site=site, metastases=metastases))
    for system, stage in found.tnm.items():
        assert stage.m == (m if system in ("ajcc8", "ajcc9") or m is None else m[:2])
    assert ("TNM-W4" in found.warnings) is (m is None)
    assert ("metastases" in found.missing) is (m is None)
    assert ("TNM-25" in found.rules) is (m is None)


@pytest.mark.parametrize(
    ("count", "n", "provisional"),
    [(None, "N1", True), (1.0, "N1", False), (3.0, "N1", False), (4.0, "N2", False), (20.0, "N2", False)],
)
def test_n_of_the_exocrine_table(count: float | None, n: str, provisional: bool) -> None:
    """TNM-21: one to three nodes N1, four or more N2; without a count N1 for the time being."""
    found = staged(CARCINOMA, nodes="positive", nodes_positive_count=count)["ajcc8-exocrine"]
    assert (found.n, found.provisional) == (n, provisional)


@pytest.mark.parametrize(
    ("facts", "n"),
    [
        ({"nodes": "negative"}, "N0"),
        ({"nodes": "positive", "nodes_positive_count": 11.0}, "N1"),
        ({"nodes": "positive", "nodes_positive_count": 12.0}, "N2"),
        ({"nodes": "positive", "nodes_positive_count": 1.0, "mesenteric_mass_mm": 20.0}, "N1"),
        ({"nodes": "positive", "nodes_positive_count": 1.0, "mesenteric_mass_mm": 20.01}, "N2"),
        ({"nodes": "positive", "nodes_positive_count": 1.0, "mesenteric_vessel_encasement": True}, "N2"),
        ({"nodes": "positive", "nodes_positive_count": 1.0, "mesenteric_vessel_encasement": False}, "N1"),
        ({}, "NX"),
    ],
)
def test_n_of_the_small_bowel(facts: dict[str, Any], n: str) -> None:
    """TNM-55: N2 from twelve nodes, a mass above 20 mm or encased vessels, in AJCC 8 and version 9 only."""
    found = staged(replace(PANCREAS, primary_site="jejunum-ileum"), **facts)
    assert (found["ajcc8"].n, found["ajcc9"].n) == (n, n)
    assert found["ajcc7"].n == ("N1" if n == "N2" else n)


# --- which systems ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("year", "primary"),
    [
        (None, "ajcc8"),
        (2009, "ajcc7"),
        (2017, "ajcc7"),
        (2018, "ajcc8"),
        (2023, "ajcc8"),
        (2024, "ajcc9"),
        (2026, "ajcc9"),
    ],
)
def test_the_year_of_diagnosis_chooses_the_primary_system(year: int | None, primary: str) -> None:
    """TNM-35: before 2018, to 2023, from 2024; a carcinoma of the pancreas goes by the exocrine table in any year."""
    diagnosed = None if year is None else float(year)
    assert assessed(replace(PANCREAS, diagnosis_year=diagnosed)).tnm_primary_system == primary
    for differentiation in ("poor", "mixed"):
        found = assessed(replace(PANCREAS, diagnosis_year=diagnosed, differentiation=differentiation))
        assert found.tnm_primary_system == "ajcc8-exocrine"
        assert not {"ajcc8", "ajcc9"}.intersection(found.tnm)


@pytest.mark.parametrize("site", GUT)
@pytest.mark.parametrize("differentiation", ["poor", "mixed"])
def test_carcinomas_of_the_gut_are_not_staged(site: str, differentiation: str) -> None:
    """TNM-62: they follow the carcinoma chapter of the organ, which is not computed; TNM-W3 says so."""
    found = assessed(replace(PANCREAS, primary_site=site, differentiation=differentiation))
    assert found.tnm == {}
    assert found.tnm_primary_system is None
    assert "TNM-W3" in found.warnings


@pytest.mark.parametrize(
    "facts",
    [
        {"primary_site": "lung"},
        {"primary_site": "liver"},
        {"primary_site": "unknown-primary"},
        {"nen_status": "biochemical-suspicion"},
        {"nen_status": "other-tumour"},
        {"age_years": 17.0},
        {"primary_site": None},
        {"nen_status": None},
    ],
)
def test_where_there_is_no_chapter_nothing_is_staged(facts: dict[str, Any]) -> None:
    """Without a lesion, a known primary in pancreas or gut, or outside the scope there is no stage."""
    found = assessed(replace(LIMITED, **facts))
    assert found.tnm == {}
    assert not [warning for warning in found.warnings if warning in ("TNM-W4", "TNM-W5", "TNM-W8")]


@pytest.mark.parametrize(("edition", "taken"), [(None, {"ajcc8"}), ("enets", {"enets"}), ("ajcc9", {"ajcc9"})])
def test_a_recorded_t_fills_a_gap_in_its_own_edition_only(edition: str | None, taken: set[str]) -> None:
    """A T of the record is used where no category can be computed, for its edition, and is marked as recorded."""
    found = staged(PANCREAS, recorded_t="T3", recorded_edition=edition, nodes="negative", metastases=())
    assert {system for system, stage in found.items() if stage.t_as_recorded} == taken
    assert {stage.t for system, stage in found.items() if system not in taken} == {"TX"}
    computed = staged(LIMITED, recorded_t="T4", recorded_edition=edition, metastases=())
    assert not any(stage.t_as_recorded for stage in computed.values())
    assert "T4" not in {stage.t for stage in computed.values()}


@pytest.mark.parametrize(("system", "expected"), [("enets", "IIIB"), ("ajcc7", "IIB"), ("ajcc8", "III")])
def test_no_primary_found_is_grouped_by_nodes(system: str, expected: str) -> None:
    """TNM-12 with TNM-30 to 32: T0 with positive nodes has a group, T0 without has none."""
    positive = staged(PANCREAS, recorded_t="T0", recorded_edition=system, nodes="positive", metastases=())
    negative = staged(PANCREAS, recorded_t="T0", recorded_edition=system, nodes="negative", metastases=())
    assert (positive[system].t, positive[system].stage) == ("T0", expected)
    assert negative[system].stage is None
