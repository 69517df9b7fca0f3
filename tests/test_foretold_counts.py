"""What a plan counts is what then runs: on the service by its own count, here by what the runtime is given to run."""

from __future__ import annotations

import json
import random
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from composing import circuit_file, foreseen, outcome_of
from qiskit_ibm_runtime.fake_provider.local_service import QiskitRuntimeLocalService
from qiskit_ibm_runtime.quantum_program.params_converters import QUANTUM_PROGRAM_PARAMS_CONVERTERS
from watching import watched

from qrt_runner.journal import Journal

if TYPE_CHECKING:
    from watching import Watched


TURN = (
    "turn",
    "circuit = QuantumCircuit(2)\ncircuit.ry(Parameter('theta'), 0)\ncircuit.cx(0, 1)",
    "'zz': 'ZZ', 'xx': 'XX'",
)
LEARNING = ["mitigation.learning.num_randomizations=4", "mitigation.learning.layer_pair_depths=[0,8]"]
TAGS = 120
"""Bytes of what a submission is told by, which no plan knows, and by which compressed circuits may differ."""

COUNTING = ("none", "twirl", "dd", "m3")
ESTIMATING = ("none", "twirl", "dd", "trex", "zne", "suppression_trex", "level_1", "level_2")


def point(mode: str, mitigation: str, *words: str, shots: int = 64, sets: int = 1) -> list[str]:
    """Return the overrides of a circuit turned by some angles, in a mode with a mitigation."""
    theta = f"+circuit.parameter_values.theta={{linspace: [0.1, 1.0, {sets}]}}"
    given = [f"mode={mode}", f"mode.shots={shots}", f"mitigation={mitigation}"]
    return [*circuit_file(*TURN), *given, theta, *words]


def payload_of(service: Watched, job: dict[str, Any]) -> str:
    """Return what a client sent for a job, as the service keeps it."""
    database = sqlite3.connect(service.running.folder / "rehearsal.sqlite")
    (found,) = database.execute("SELECT payload FROM jobs WHERE id = ?", (job["id"],)).fetchone()
    database.close()
    return str(found)


def circuits_in(payload: str) -> int:
    """Return how many circuits a job makes the device run, as the client's own decoder reads it."""
    converter = QUANTUM_PROGRAM_PARAMS_CONVERTERS["v2.0"]
    program, _ = converter.decoder(converter.model.model_validate(json.loads(payload)))
    return sum(item.size() for item in program.items)


def is_as_told(service: Watched, points: list[list[str]]) -> list[dict[str, Any]]:
    """Plan points and run them; see that the service gets and runs what was told, and return the rows of the jobs."""
    points = [[*words, *service.words] for words in points]
    told = foreseen(*points)
    rows = told.jobs
    assert (service.jobs(), service.sessions()) == ([], [])
    assert {result.state for result in outcome_of(*points).results} == {"done"}
    # Jobs of several groups are submitted side by side; the journal knows which is which.
    with Journal(Path("outputs/journal")) as journal:
        ids = {one.job + 1: one.service_id for one in journal.submissions(journal.runs()[-1].id)}
    jobs = {job["id"]: job for job in service.jobs()}
    assert len(jobs) == len(rows) == len(ids)
    for row in rows:
        job = jobs[ids[row["job"]]]
        payload = payload_of(service, job)
        assert (row["circuits"], row["executions"]) == (circuits_in(payload), job["executions"]), row
        assert row["payload_bytes"] == pytest.approx(len(payload), abs=TAGS), row
        assert row["lower_s"] <= job["usage_s"] <= row["upper_s"], row
    assert len(service.sessions()) == len(told.plan.groups)
    return rows


def test_each_technique_of_counts(served):
    """64 shots of 2 angles; M3 adds 4 strings of as many shots, twirling makes one randomization of them."""
    rows = is_as_told(watched(served), [point("sampler", name, sets=2) for name in COUNTING])
    told = {row["mitigation"]: (row["circuits"], row["executions"]) for row in rows}
    assert told == {"none": (2, 128), "twirl": (2, 128), "dd": (2, 128), "m3": (6, 384)}


def test_each_technique_of_the_estimator(served):
    """128 shots in the bases of ZZ and XX: 2 randomizations of 64, 3 noise factors, and TREX's own 2 randomizations."""
    rows = is_as_told(watched(served), [point("estimator", name, shots=128) for name in ESTIMATING])
    told = {row["mitigation"]: row["circuits"] for row in rows}
    assert told == {
        "none": 2,
        "twirl": 4,
        "dd": 2,
        "trex": 6,
        "zne": 6,
        "suppression_trex": 6,
        "level_1": 6,
        "level_2": 14,
    }


def test_trex_is_calibrated_once_in_a_job(served):
    """Two points of other shapes are two PUBs of one job: (3 + 1) sets in 2 bases of 1 randomization, and one more."""
    service = watched(served)
    points = [point("estimator", "trex", sets=3), point("estimator", "trex", "+circuit.observables={z: IZ, x: IX}")]
    (row,) = is_as_told(service, points)
    assert (row["pubs"], row["circuits"]) == (2, 9)


def test_splitting_by_limits_calibrates_each_job(served):
    """5 sets of which a job holds 2: jobs of 2, 2 and 1, each with a calibration by M3 of 4 strings."""
    rows = is_as_told(watched(served), [point("raw", "m3", "backend.limits.parameter_sets=2", sets=5)])
    assert sorted(row["circuits"] for row in rows) == [5, 6, 6]


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_is_asked_for(served, seed):
    """Points drawn from modes, techniques, sessions, numbers of sets, shots and limits."""
    draw = random.Random(seed)  # noqa: S311 - nobody is to be kept from guessing
    points = []
    limit = f"backend.limits.parameter_sets={draw.choice([2, 3, 100])}"
    session = [
        f"session={draw.choice(['none', 'batch', 'dedicated'])}",
        f"session.scope={draw.choice(['run', 'sweep'])}",
    ]
    for _ in range(5):
        mode = draw.choice(["raw", "sampler", "estimator"])
        names = {"raw": ("none", "m3"), "sampler": COUNTING, "estimator": ESTIMATING[:-1]}[mode]
        sizes = {"shots": draw.choice([32, 128, 200]), "sets": draw.randint(1, 4)}
        points.append(point(mode, draw.choice(names), limit, *session, **sizes))
    is_as_told(watched(served), points)


def test_pec_is_told_as_far_as_it_is_known(served):
    """Once its noise is learned the same command is told whole; what it took is compared with what it was by then."""
    service = watched(served)
    words = [*service.words, *point("estimator", "pec", "session=none", *LEARNING, shots=64)]
    learner, first = foreseen(words).jobs
    assert (learner["mitigation"], learner["overhead_known"], first["overhead_known"]) == ("for pec", True, False)
    assert first["payload_bytes"] is None
    (result,) = outcome_of(words).results
    assert result.price is not None
    assert (result.state, result.price.predicted_s) == ("done", None)
    ran = {len(payload_of(service, job)): job for job in service.jobs()}
    assert ran[max(ran)]["executions"] == learner["executions"]
    (again,) = foreseen(words).jobs
    pec = ran[min(ran)]
    assert (again["overhead_known"], again["executions"]) == (True, pec["executions"])
    assert again["executions"] > first["executions"]
    assert first["upper_s"] >= pec["usage_s"]
    assert again["payload_bytes"] == pytest.approx(min(ran), abs=TAGS)
    with Journal(Path("outputs/journal")) as journal:
        factors = {one.mode: one.spent_s / one.expected_s for one in journal.spent_jobs()}
    assert factors == pytest.approx({"learner": 1.0, "estimator": 1.0})


@pytest.mark.parametrize("mitigation", ["none", "trex", "level_2"])
def test_what_is_simulated_here_is_counted_too(monkeypatch, mitigation):
    """The runtime's local service runs as many circuits as were told."""
    ran: list[int] = []
    run = QiskitRuntimeLocalService._run_executor  # noqa: SLF001

    def counting(self: Any, backend: Any, simulator: Any, program: Any, **options: bool) -> Any:
        ran.append(sum(item.size() for item in program.items))
        return run(self, backend, simulator, program, **options)

    monkeypatch.setattr(QiskitRuntimeLocalService, "_run_executor", counting)
    words = point("estimator", mitigation, "backend=fake_manila", sets=2)
    (row,) = foreseen(words).jobs
    assert outcome_of(words).results[0].state == "done"
    assert ran == [row["circuits"]]
