"""Derived numbers: each expected value is worked out by hand."""

from __future__ import annotations

from math import cos, sqrt
from typing import TYPE_CHECKING

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp

from qrt_runner.analysis import compared, exact_reference, expectations_from_counts
from qrt_runner.analysis.counting import hellinger, success_probability
from qrt_runner.circuits import LogicalCircuit
from qrt_runner.circuits.parameters import ParameterSets
from qrt_runner.config import Ideal
from qrt_runner.errors import ConfigError
from qrt_runner.results import Comparison, Counts, PubResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qrt_runner.analysis import Costs
    from qrt_runner.results import Expectations


def unpriced() -> Costs:
    """Stand for a price where nobody may ask for it."""
    raise AssertionError


def told(
    circuit: QuantumCircuit, joint: Mapping[str, int], observables: Mapping[str, str | dict[str, float]]
) -> Expectations:
    """Return what counts of a circuit tell about observables."""
    registers = tuple((register.name, register.size) for register in circuit.cregs)
    return expectations_from_counts(Counts(registers, (joint,)), operators(observables), circuit)


def operators(observables: Mapping[str, str | dict[str, float]]) -> dict[str, SparsePauliOp]:
    """Return observables written as Pauli strings or mappings as operators."""
    terms = {name: {value: 1.0} if isinstance(value, str) else value for name, value in observables.items()}
    return {name: SparsePauliOp.from_list(list(value.items())) for name, value in terms.items()}


def measured(width: int) -> QuantumCircuit:
    """Return a circuit that measures qubit j into bit j."""
    circuit = QuantumCircuit(width, width)
    circuit.measure(range(width), range(width))
    return circuit


def reference(
    circuit: QuantumCircuit,
    observables: Mapping[str, str | dict[str, float]] | None = None,
    *,
    values: np.ndarray | None = None,
    max_qubits: int = 20,
    counting: bool = True,
) -> Comparison:
    """Return the ideal reference of a circuit."""
    names = tuple(parameter.name for parameter in circuit.parameters)
    sets = ParameterSets(names, np.empty((1, 0)) if values is None else values)
    logical = LogicalCircuit(circuit, sets, operators(observables or {}), ())
    section = Ideal(kind="ideal", max_qubits=max_qubits, on_unknown="refuse")
    return exact_reference(section, logical, counting=counting)


def ghz(width: int, *, measuring: bool = True) -> QuantumCircuit:
    """Return a GHZ circuit, measured at its end where asked."""
    circuit = QuantumCircuit(width)
    circuit.h(0)
    for qubit in range(width - 1):
        circuit.cx(qubit, qubit + 1)
    if measuring:
        circuit.measure_all()
    return circuit


def refusal(*args: object, **options: object) -> str:
    """Return what a reference is refused with."""
    with pytest.raises(ConfigError) as caught:
        reference(*args, **options)  # type: ignore[arg-type]
    (mistake,) = caught.value.mistakes
    return str(mistake)


# Expectation values from counts


def test_z_of_one_qubit():
    """75 zeros and 25 ones give <Z> = 0.5 with a standard error of sqrt((1 - 0.25) / 100)."""
    found = told(measured(1), {"0": 75, "1": 25}, {"z": "Z"})
    assert found.values[0, 0] == pytest.approx(0.5)
    assert found.errors[0, 0] == pytest.approx(sqrt(0.75 / 100))


def test_parity_and_bit_order():
    """Of 60 x 00, 30 x 01, 10 x 11: <IZ> = 0.2 (bit 0 is rightmost), <ZI> = 0.8, <ZZ> = 0.4."""
    found = told(measured(2), {"00": 60, "01": 30, "11": 10}, {"iz": "IZ", "zi": "ZI", "zz": "ZZ"})
    assert found.names == ("iz", "zi", "zz")
    assert found.values[0] == pytest.approx([0.2, 0.8, 0.4])
    assert found.errors[0] == pytest.approx([sqrt((1 - value**2) / 100) for value in (0.2, 0.8, 0.4)])


def test_an_observable_of_several_terms():
    """0.5 II + 2 IZ - ZI over 00 (50), 01 (30), 10 (20) has the values 1.5, -2.5, 3.5 on them.

    Mean 0.75 - 0.75 + 0.7 = 0.7, mean square 1.125 + 1.875 + 2.45 = 5.45, error sqrt((5.45 - 0.49) / 100); the terms'
    own errors added as if independent would give another number.
    """
    found = told(measured(2), {"00": 50, "01": 30, "10": 20}, {"o": {"II": 0.5, "IZ": 2.0, "ZI": -1.0}})
    assert found.values[0, 0] == pytest.approx(0.7)
    assert found.errors[0, 0] == pytest.approx(sqrt(4.96 / 100))


def test_an_identity_has_no_error():
    """A constant is known exactly, whatever was counted."""
    found = told(measured(1), {"0": 3, "1": 4}, {"one": {"I": 2.5}})
    assert (found.values[0, 0], found.errors[0, 0]) == (2.5, 0.0)


def test_observables_over_several_registers():
    """In 101 the last register stands leftmost: `b` reads 10, `a` reads 1, so qubits 0 and 2 are flipped."""
    circuit = QuantumCircuit(QuantumRegister(3), ClassicalRegister(1, "a"), ClassicalRegister(2, "b"))
    circuit.measure([0, 1, 2], [0, 1, 2])
    found = told(circuit, {"101": 8}, {"z0": "IIZ", "z1": "IZI", "z2": "ZII", "zz": "ZIZ"})
    assert found.values[0].tolist() == [-1.0, 1.0, -1.0, 1.0]


def test_a_permuted_measurement():
    """Qubit 0 is measured into bit 2, 1 into 0, 2 into 1: outcome 100 means that qubit 0 is flipped."""
    circuit = QuantumCircuit(3, 3)
    circuit.measure([0, 1, 2], [2, 0, 1])
    found = told(circuit, {"100": 5}, {"z0": "IIZ", "z1": "IZI", "z2": "ZII"})
    assert found.values[0].tolist() == [-1.0, 1.0, 1.0]


def test_unmeasured_bits_do_not_shift_the_others():
    """A register whose middle bit nothing writes still reads its outer bits in their places."""
    circuit = QuantumCircuit(2, 3)
    circuit.measure([0, 1], [0, 2])
    found = told(circuit, {"001": 5}, {"z0": "IZ", "z1": "ZI"})
    assert found.values[0].tolist() == [-1.0, 1.0]


def test_parameter_sets_stand_along_the_first_axis():
    """Two parameter sets with 10 and 40 shots have values and errors of their own."""
    counts = Counts((("c", 1),), ({"0": 10}, {"0": 10, "1": 30}))
    found = expectations_from_counts(counts, operators({"z": "Z"}), measured(1))
    assert found.values.tolist() == [[1.0], [-0.5]]
    assert found.errors[:, 0] == pytest.approx([0.0, sqrt(0.75 / 40)])


def test_a_qubit_that_steers_a_gate_is_still_measured():
    """A bit that a later branch only reads keeps its outcome, so its qubit's Z can be told."""
    circuit = QuantumCircuit(2, 2)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.measure(1, 1)
    found = told(circuit, {"11": 5}, {"z0": "IZ", "z1": "ZI"})
    assert found.values[0].tolist() == [-1.0, -1.0]


# Distances


def test_hellinger_fidelity():
    """Shares 3/4, 1/4 against 1/2, 1/2: (sqrt(3/8) + sqrt(1/8))^2 = 1/2 + sqrt(3)/4."""
    assert hellinger({"0": 75, "1": 25}, {"0": 0.5, "1": 0.5}) == pytest.approx(0.5 + sqrt(3) / 4)


def test_hellinger_fidelity_at_its_ends():
    """Equal distributions have fidelity 1, disjoint ones 0."""
    assert hellinger({"00": 5, "11": 5}, {"00": 0.5, "11": 0.5}) == pytest.approx(1)
    assert hellinger({"01": 7}, {"00": 0.5, "11": 0.5}) == pytest.approx(0)


def test_success_probability():
    """Of 100 shots 90 fall on the two most probable exact outcomes, 00 and 11; the rare 01 is no success."""
    exact = {"00": 0.45, "11": 0.45, "01": 0.1}
    assert success_probability({"00": 70, "11": 20, "01": 10}, exact) == pytest.approx(0.9)


def test_comparison_goes_set_by_set():
    """Each parameter set is compared with its own exact probabilities."""
    exact = Comparison(probabilities=({"0": 1.0}, {"1": 1.0}))
    found = compared(exact, PubResult(Counts((("c", 1),), ({"0": 3, "1": 1}, {"1": 8}))), unpriced)
    assert found.total_variation == pytest.approx((0.25, 0.0))
    assert found.p_success == pytest.approx((0.75, 1.0))
    assert found.hellinger == pytest.approx((0.75, 1.0))


# The ideal reference


def test_bell_reference():
    """A Bell pair has <ZZ> = <XX> = 1, <ZI> = 0, and 00 and 11 with probability 1/2 each."""
    found = reference(ghz(2), {"zz": "ZZ", "xx": "XX", "zi": "ZI"})
    assert found.ideal[0] == pytest.approx([1, 1, 0], abs=1e-12)
    assert found.probabilities == (pytest.approx({"00": 0.5, "11": 0.5}),)


def test_estimating_needs_no_probabilities():
    """For the estimator there are exact values and no probabilities."""
    found = reference(ghz(2, measuring=False), {"zz": "ZZ"}, counting=False)
    assert found.ideal[0] == pytest.approx([1])
    assert found.probabilities is None


@pytest.mark.parametrize("max_qubits", [2, 20], ids=["stabilizers", "statevector"])
def test_probabilities_of_a_permuted_measurement(max_qubits):
    """X on qubit 0, measured into bit 2 of 3, gives 100; by statevector and by stabilizers alike."""
    circuit = QuantumCircuit(3, 3)
    circuit.x(0)
    circuit.measure([0, 1, 2], [2, 0, 1])
    assert reference(circuit, max_qubits=max_qubits).probabilities == ({"100": pytest.approx(1)},)


@pytest.mark.parametrize("max_qubits", [2, 20], ids=["stabilizers", "statevector"])
def test_probabilities_over_several_registers_and_unmeasured_bits(max_qubits):
    """Register `a` holds qubit 2 (H), `b` qubit 0 (X) in bit 1; its bit 0 is never written and reads 0."""
    circuit = QuantumCircuit(QuantumRegister(3), ClassicalRegister(1, "a"), ClassicalRegister(2, "b"))
    circuit.x(0)
    circuit.h(2)
    circuit.measure([0, 2], [2, 0])
    found = reference(circuit, max_qubits=max_qubits).probabilities
    assert found == (pytest.approx({"100": 0.5, "101": 0.5}),)


def test_parametrised_reference():
    """RY(theta) has <Z> = cos(theta) and P(0) = cos^2(theta/2), for each parameter set."""
    circuit = QuantumCircuit(1)
    circuit.ry(Parameter("theta"), 0)
    circuit.measure_all()
    found = reference(circuit, {"z": "Z"}, values=np.array([[0.4], [2.0]]))
    assert found.ideal[:, 0] == pytest.approx([cos(0.4), cos(2.0)])
    assert [one["0"] for one in found.probabilities] == pytest.approx([cos(0.2) ** 2, cos(1.0) ** 2])


def test_a_clifford_state_of_100_qubits():
    """A GHZ state of 100 qubits is far beyond any statevector; by stabilizers its ends agree and X on all is 1."""
    ends, all_x = "Z" + "I" * 98 + "Z", "X" * 100
    found = reference(ghz(100), {"ends": ends, "x": all_x, "both": {ends: 2.0, all_x: -0.5}, "z0": "I" * 99 + "Z"})
    assert found.ideal[0] == pytest.approx([1, 1, 1.5, 0])
    assert found.probabilities == ({"0" * 100: pytest.approx(0.5), "1" * 100: pytest.approx(0.5)},)


def test_a_wide_circuit_that_is_not_clifford_is_refused():
    """A T gate on 21 qubits is refused with the memory that a larger limit would take: 16 * 2^21 bytes."""
    circuit = QuantumCircuit(21)
    circuit.h(0)
    circuit.t(0)
    circuit.measure_all()
    assert refusal(circuit) == (
        "reference: given ideal, for a circuit of 21 qubits that is not Clifford; allowed: at most 20 qubits "
        "(reference.max_qubits), or a Clifford circuit; remedy: reference=none, or circuit.clifford=true for the "
        "nearest Clifford circuit, or reference.max_qubits=21 needs 3.4e+07 bytes"
    )


def test_too_many_outcomes_are_refused():
    """17 even coins among 21 qubits make 2^17 outcomes, which are not listed; the estimator needs no list."""
    circuit = QuantumCircuit(21)
    circuit.h(range(17))
    circuit.measure_all()
    assert refusal(circuit) == (
        "reference: given ideal, for counts over 2^17 outcomes; allowed: at most 2^16 outcomes; remedy: "
        "mode=estimator, or reference=none"
    )


def test_only_measured_outcomes_count():
    """Of 25 even coins two are measured: four outcomes, each with probability 1/4, are listed."""
    circuit = QuantumCircuit(25, 2)
    circuit.h(range(25))
    circuit.measure([0, 3], [0, 1])
    found = reference(circuit).probabilities
    assert found == (pytest.approx(dict.fromkeys(["00", "01", "10", "11"], 0.25)),)


def test_outcomes_are_counted_modulo_two():
    """Six times |x, y, x + y> with even coins x, y has 4^6 outcomes, far fewer than 2^16, and is listed.

    The X parts of a triple's stabilizers are 101, 011 and, by the two CX that do nothing to |000>, their product 110:
    three independent rows over the numbers, two modulo 2, which is what counts.
    """
    circuit = QuantumCircuit(18)
    for first in range(0, 18, 3):
        circuit.cx([first, first + 1], first + 2)
        circuit.h([first, first + 1])
        circuit.cx([first, first + 1], first + 2)
    circuit.measure_all()
    (found,) = reference(circuit, max_qubits=10).probabilities
    assert len(found) == 4**6


def test_a_dynamic_circuit_is_refused():
    """A circuit that measures, resets or branches before its end has no ideal reference."""
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.measure(1, 1)
    assert refusal(circuit) == (
        "reference: given ideal, for a circuit with mid-circuit measurement, reset or control flow; allowed: ideal for "
        "circuits that measure at their end only; remedy: reference=none"
    )


def test_a_reset_is_refused():
    """A reset is no unitary: refused."""
    circuit = QuantumCircuit(1, 1)
    circuit.h(0)
    circuit.reset(0)
    circuit.measure(0, 0)
    assert refusal(circuit).startswith("reference: given ideal, for a circuit with mid-circuit measurement, reset")


def test_measuring_between_gates_is_refused():
    """H, measure, H, measure: the first measurement is mid-circuit although its qubit is measured again."""
    circuit = QuantumCircuit(1, 2)
    circuit.h(0)
    circuit.measure(0, 0)
    circuit.h(0)
    circuit.measure(0, 1)
    assert refusal(circuit).startswith("reference: given ideal, for a circuit with mid-circuit measurement")


def test_measuring_one_qubit_twice_is_not_taken_for_one_measurement():
    """H, measure, measure gives 00 and 11: either listed as such or refused, never 00 and 10."""
    circuit = QuantumCircuit(1, 2)
    circuit.h(0)
    circuit.measure(0, 0)
    circuit.measure(0, 1)
    try:
        found = reference(circuit).probabilities
    except ConfigError:
        return
    assert found == (pytest.approx({"00": 0.5, "11": 0.5}),)


def test_a_circuit_without_observables_has_probabilities_only():
    """Without observables there is nothing exact to compare but probabilities."""
    found = reference(ghz(2))
    assert found.ideal is None
    assert found.probabilities is not None
