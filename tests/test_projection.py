"""Every angle of a circuit goes to the nearest one that leaves it Clifford: where it goes is worked out by hand."""

from __future__ import annotations

import json
from math import pi

import numpy as np
import pytest
from composing import circuit_file, outcome_of, plan_of, result_of
from qiskit import QuantumCircuit
from qiskit.circuit import Gate, Parameter, ParameterVector
from qiskit.circuit.library import PauliEvolutionGate, UnitaryGate
from qiskit.quantum_info import Clifford, Operator, SparsePauliOp, StabilizerState

from qrt_runner.circuits import ParameterSets, clifford_projected, without_moved
from qrt_runner.circuits.projection import nearest_multiple
from qrt_runner.errors import ConfigError

NOTHING = ParameterSets((), np.empty((1, 0)))


def bound(circuit: QuantumCircuit, asked: ParameterSets = NOTHING, index: int = 0) -> QuantumCircuit:
    """Return a projected circuit with one of its parameter sets put in."""
    projection = clifford_projected(circuit)
    return projection.circuit.assign_parameters(projection.sets(asked).of(projection.circuit)[index])


def refusal(circuit: QuantumCircuit) -> str:
    """Return what the projection of a circuit is refused with."""
    with pytest.raises(ConfigError) as caught:
        clifford_projected(circuit)
    (mistake,) = caught.value.mistakes
    return str(mistake)


def one(name: str, *angles: float, qubits: int = 1) -> QuantumCircuit:
    """Return a circuit of one gate."""
    circuit = QuantumCircuit(qubits)
    getattr(circuit, name)(*angles, *range(qubits))
    return circuit


@pytest.mark.parametrize(
    ("circuit", "expected"),
    [
        (one("rz", 0.3), QuantumCircuit(1)),
        (one("ry", 1.6), one("ry", pi / 2)),
        (one("rx", -0.9), one("rx", -pi / 2)),
        (one("rx", 2.4), one("rx", pi)),
        (one("p", 5.5), one("p", 2 * pi)),
        (one("t"), one("s")),
        (one("tdg"), one("sdg")),
        (one("u", 0.3, 1.6, -1.7), one("u", 0, pi / 2, -pi / 2)),
        (one("r", 1.4, 3.0), one("r", pi / 2, pi)),
        (one("rzz", 0.78, qubits=2), QuantumCircuit(2)),
        (one("rzz", 0.79, qubits=2), one("rzz", pi / 2, qubits=2)),
        (one("rxx", -1.0, qubits=2), one("rxx", -pi / 2, qubits=2)),
        (one("cp", 1.5, qubits=2), QuantumCircuit(2)),
        (one("cp", 1.6, qubits=2), one("cz", qubits=2)),
        (one("cry", -2.0, qubits=2), one("cry", -pi, qubits=2)),
    ],
    ids=lambda circuit: "-".join(f"{gate.name}{gate.params}" for gate in circuit.data) or "identity",
)
def test_an_angle_goes_to_the_nearest_that_is_clifford(circuit, expected):
    """pi/4 = 0.785 is the border for rotations, pi/2 = 1.571 for controlled ones."""
    assert Operator(bound(circuit)) == Operator(expected)
    Clifford(bound(circuit))


@pytest.mark.parametrize(("angle", "nearest"), [(pi / 4, pi / 2), (-pi / 4, -pi / 2), (3 * pi / 4, pi), (-0.78, 0.0)])
def test_halfway_the_multiple_farther_from_zero_is_taken(angle, nearest):
    """So an inverse goes to the inverse: T to S, and its inverse to that of S."""
    assert nearest_multiple(angle, pi / 2) == pytest.approx(nearest)


def test_the_control_state_of_a_gate_stays():
    """A rotation by 2 where the control is 0 becomes one by pi there."""
    circuit, expected = QuantumCircuit(2), QuantumCircuit(2)
    circuit.crx(2.0, 0, 1, ctrl_state=0)
    expected.crx(pi, 0, 1, ctrl_state=0)
    assert Operator(bound(circuit)) == Operator(expected)


def test_a_clifford_circuit_stays_as_it_is():
    """Nothing is moved, registers and measurements stay."""
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.rz(-pi / 2, 0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [1, 0])
    projection = clifford_projected(circuit)
    assert projection.circuit == circuit
    assert (projection.angles, projection.moved) == ((), 0)
    assert projection.notes == ("Clifford projection of the circuit: no angle had to be moved",)


def test_gates_stay_and_equal_angles_are_moved_together():
    """Four rotations by two angles keep their names and places, and have two parameters in place of the angles."""
    circuit = QuantumCircuit(2)
    circuit.rx(0.3, [0, 1])
    circuit.rzz(0.9, 0, 1)
    circuit.rx(0.3, 0)
    projection = clifford_projected(circuit)
    assert projection.circuit.count_ops() == circuit.count_ops()
    assert projection.moved == 4
    assert [angle.asked for angle in projection.angles] == [0.3, 0.9]
    assert projection.sets(NOTHING).values.tolist() == [[0.0, pi / 2]]


def test_free_parameters_are_bound_before_angles_are_moved():
    """2 theta + 0.1 at theta = 0.3 is 0.7, which goes to 0; at 0.4 it is 0.9, which goes to pi/2.

    theta by itself stays at 0 both times, and what was asked for is told beside it.
    """
    theta = Parameter("theta")
    circuit = QuantumCircuit(1)
    circuit.rx(2 * theta + 0.1, 0)
    circuit.rz(theta, 0)
    asked = ParameterSets(("theta",), np.array([[0.3], [0.4]]))
    sets = clifford_projected(circuit).sets(asked)
    assert sets.names == ("theta", "clifford[0]", "clifford[1]")
    assert sets.values.tolist() == [[0.3, 0.0, 0.0], [0.4, pi / 2, 0.0]]
    assert without_moved(sets).values.tolist() == [[0.3], [0.4]]
    assert Operator(bound(circuit, asked, 1)) == Operator(one("rx", pi / 2))


def test_elements_of_a_vector_are_told_apart():
    """theta[1] = 1.5 turns qubit 1 by pi/2, theta[0] = 0.2 turns qubit 0 by nothing."""
    theta = ParameterVector("theta", 2)
    circuit = QuantumCircuit(2)
    circuit.ry(theta[1], 1)
    circuit.ry(theta[0], 0)
    expected = QuantumCircuit(2)
    expected.ry(pi / 2, 1)
    asked = ParameterSets(("theta[0]", "theta[1]"), np.array([[0.2, 1.5]]))
    assert Operator(bound(circuit, asked)) == Operator(expected)


def test_a_free_global_phase_is_left_out():
    """It changes nothing that is measured."""
    circuit = QuantumCircuit(1, global_phase=Parameter("a"))
    circuit.rx(0.2, 0)
    assert [parameter.name for parameter in clifford_projected(circuit).circuit.parameters] == ["clifford[0]"]


def test_other_gates_are_taken_apart():
    """A Toffoli gate, an arbitrary unitary and an evolution by a free time end in Clifford gates."""
    rotated = Operator(one("ry", 0.4)).data
    evolution = PauliEvolutionGate(SparsePauliOp(["ZZ", "XI"], [1.0, 0.5]), Parameter("t"))
    circuit = QuantumCircuit(3)
    circuit.ccx(0, 1, 2)
    circuit.append(UnitaryGate(rotated), [1])
    circuit.append(evolution, [0, 2])
    Clifford(bound(circuit, ParameterSets(("t",), np.array([[0.7]]))))


def test_an_evolution_by_a_free_time_is_moved_by_its_angles():
    """exp(-i t ZZ) is RZZ(2t): at t = 0.7 the angle is 1.4, which goes to pi/2."""
    circuit = QuantumCircuit(2)
    circuit.append(PauliEvolutionGate(SparsePauliOp("ZZ"), Parameter("t")), [0, 1])
    found = bound(circuit, ParameterSets(("t",), np.array([[0.7]])))
    assert Operator(found).equiv(Operator(one("rzz", pi / 2, qubits=2)))


def test_control_flow_is_refused():
    """Which of its angles are run depends on what is measured."""
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.rx(0.3, 0)
    assert refusal(circuit) == (
        "circuit.clifford: given true, for a circuit with control flow; allowed: true for circuits without control "
        "flow; remedy: circuit.clifford=false"
    )


def test_a_gate_that_says_nothing_of_itself_is_refused():
    """There is no telling what it does."""
    circuit = QuantumCircuit(1)
    circuit.append(Gate("mystery", 1, []), [0])
    assert refusal(circuit) == (
        "circuit.clifford: given true, for a circuit with mystery, which cannot be taken apart; allowed: gates with a "
        "definition; remedy: circuit.clifford=false"
    )


def test_a_parameter_of_the_same_name_is_refused():
    """The moved angles have that name."""
    circuit = QuantumCircuit(1)
    circuit.rx(Parameter("clifford"), 0)
    assert refusal(circuit) == (
        "circuit.clifford: given true, for a circuit with a parameter called clifford; allowed: parameters of other "
        "names; remedy: rename it, or circuit.clifford=false"
    )


def quench(width: int, steps: int, bond: float, field: float) -> QuantumCircuit:
    """Return the Trotter steps of `circuits/tfim.py` with these angles of bonds and fields, the outer fields at 0."""
    circuit = QuantumCircuit(width)
    for step in range(steps):
        for left in (*range(0, width - 1, 2), *range(1, width - 1, 2)):
            circuit.rzz(bond, left, left + 1)
        if step < steps - 1:
            circuit.rx(field, range(width))
    return circuit


def test_a_wide_projected_circuit_has_the_values_of_its_stabilizers():
    """Of a 40-qubit quench with dt = 0.6 the angles -0.6, -1.2 and -1.2 go to 0, -pi/2 and -pi/2.

    Its energy is that of the stabilizer state which those angles, put in by hand, give.
    """
    words = ["circuit=tfim", "circuit.params.num_qubits=40", "circuit.params.dt=0.6", "circuit.clifford=true"]
    (task,) = plan_of([*words, "reference=ideal", "mode=estimator"]).tasks
    state = StabilizerState(Clifford(quench(40, 4, -pi / 2, -pi / 2)))
    for column, operator in enumerate(task.logical.observables.values()):
        terms = zip(operator.coeffs.real, operator.paulis, strict=True)
        expected = sum(weight * state.expectation_value(pauli).real for weight, pauli in terms)
        assert task.reference.ideal[0, column] == pytest.approx(expected)


def test_a_wide_projected_circuit_is_measured():
    """One step at dt = 0.8: fields of -0.8 and bonds of -1.6 go to -pi/2, on 40 qubits.

    RX(-pi/2) turns |0> to a state with Y = 1. By RZZ(-pi/2) with one neighbour Y becomes XZ, with two -YZZ (Y in the
    middle), and by RX(-pi/2) on all, which takes Y to -Z and Z to Y, these become XY at the end and YZY inside.
    """
    inside, end, one = "I" * 18 + "YZY" + "I" * 19, "XY" + "I" * 38, "Z" + "I" * 39
    words = ["circuit=tfim", "circuit.params.num_qubits=40", "circuit.params.dt=0.8", "circuit.params.steps=1"]
    words += ["circuit.clifford=true", "reference=ideal", "mode=estimator", "mode.shots=400"]
    result = result_of(*words, f"+circuit.observables={{inside: {inside}, end: {end}, one: {one}}}")
    assert result.comparison.ideal[0] == pytest.approx([1.0, 1.0, 0.0])
    assert result.expectations.values[0, :2].tolist() == [1.0, 1.0]
    assert abs(result.expectations.values[0, 2]) < 5 / 20


def test_a_projected_circuit_is_lowered_as_its_original_is():
    """Although most of its angles go to 0, it has as many two-qubit gates on a device, and so the same noise."""
    words = ["circuit=tfim", "backend=fake_manila", "mode=estimator"]
    own, projected = plan_of(words, [*words, "circuit.clifford=true"]).programs
    assert projected.sizes["isa/two_qubit_gates"] == own.sizes["isa/two_qubit_gates"] > 0


def test_a_sweep_runs_the_circuit_beside_its_projection():
    """Both in one job; the projection is told by a note, and its parameter values as they were asked for."""
    turn = circuit_file("turn", "circuit = QuantumCircuit(1)\ncircuit.ry(Parameter('theta'), 0)", "'z': 'Z'")
    words = [*turn, "mode=estimator", "+circuit.parameter_values.theta=[0.2, 1.5]", "reference=ideal"]
    outcome = outcome_of([*words, "circuit.clifford=false"], [*words, "circuit.clifford=true"])
    own, projected = sorted(outcome.results, key=lambda result: result.point.index)
    assert own.jobs[0].index == projected.jobs[0].index
    assert own.comparison.ideal[:, 0] == pytest.approx(np.cos([0.2, 1.5]))
    assert projected.comparison.ideal[:, 0] == pytest.approx([1.0, 0.0])
    assert (projected.parameters, projected.parameter_values.tolist()) == (("theta",), [[0.2], [1.5]])
    assert projected.notes[0] == "Clifford projection of the circuit: 1 angle was moved, see circuit/clifford.json"
    assert json.loads(projected.files["circuit/clifford.json"]) == {"clifford[0]": [0.0, pi / 2]}
    assert "circuit/clifford.json" not in own.files
