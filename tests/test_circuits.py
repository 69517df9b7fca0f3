"""From a circuit section to a circuit, its parameter sets and its observables."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, qpy
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp

from qrt_runner.analysis import expectations_from_counts
from qrt_runner.circuits import LogicalCircuit, drawn, kind_of, load, measured_bits
from qrt_runner.config import Circuit
from qrt_runner.errors import ConfigError
from qrt_runner.results import Counts

if TYPE_CHECKING:
    from qrt_runner.circuits.parameters import ParameterSets

DATA = Path(__file__).parent / "data"
KINDS = ".qasm, .qasm2, .qasm3, .qpy, .py"
TWO_ANGLES = """
OPENQASM 3.0;
include "stdgates.inc";
input float a;
input float b;
qubit q;
ry(a) q;
rz(b) q;
"""
VECTOR = """
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector

def build():
    theta = ParameterVector("theta", 2)
    circuit = QuantumCircuit(1)
    circuit.ry(theta[0], 0)
    circuit.rz(theta[1], 0)
    return circuit
"""
ONE_QUBIT = """
from qiskit import QuantumCircuit

def build(gates=1, label="q"):
    circuit = QuantumCircuit(1)
    for _ in range(gates):
        circuit.x(0)
    return circuit
"""


def section(source: object, **fields: object) -> Circuit:
    """Return a circuit section; what is not given is as in the shipped configs."""
    plain = {
        "name": "it",
        "params": {},
        "parameter_values": {},
        "broadcast": "zip",
        "observables": {},
        "measure": "auto",
        "clifford": False,
    }
    return Circuit.model_validate({**plain, "source": str(source), **fields})


def loaded(source: object, mode: str = "sampler", **fields: object) -> LogicalCircuit:
    """Load a circuit as a mode runs it."""
    return load(section(source, **fields), mode)


def refusals(source: object, mode: str = "sampler", **fields: object) -> list[str]:
    """Return the lines below the head of the error with which a circuit is refused."""
    with pytest.raises(ConfigError) as caught:
        loaded(source, mode, **fields)
    return [str(mistake) for mistake in caught.value.mistakes]


def refusal(source: object, mode: str = "sampler", **fields: object) -> str:
    """Return the only line below the head of that error."""
    (line,) = refusals(source, mode, **fields)
    return line


def written(name: str, text: str | bytes) -> str:
    """Write a file into the working directory, which is the test's own, and return its path as a user types it."""
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return name


def saved(*circuits: QuantumCircuit) -> str:
    """Write circuits into one QPY file and return its path."""
    with Path("it.qpy").open("wb") as stream:
        qpy.dump(list(circuits), stream)
    return "it.qpy"


def permuted() -> QuantumCircuit:
    """Return a circuit of 2 qubits whose qubit 0 is flipped and measured into bit 1, qubit 1 into bit 0."""
    circuit = QuantumCircuit(2, 2)
    circuit.x(0)
    circuit.measure([0, 1], [1, 0])
    return circuit


# --- where circuits come from -------------------------------------------------------------------------------------


def test_openqasm_2_is_read_with_its_register() -> None:
    """`bell.qasm` measures into `c`."""
    circuit = loaded(DATA / "bell.qasm").circuit
    assert dict(circuit.count_ops()) == {"measure": 2, "h": 1, "cx": 1}
    assert [register.name for register in circuit.cregs] == ["c"]


def test_openqasm_3_is_read_with_its_inputs() -> None:
    """`input float theta` is a free parameter."""
    found = loaded(DATA / "ansatz.qasm3", parameter_values={"theta": 0.5})
    assert found.sets.names == ("theta",)
    assert dict(found.circuit.count_ops()) == {"ry": 1, "cx": 1, "barrier": 1, "measure": 2}


def test_a_qasm_file_is_read_by_the_version_that_it_states() -> None:
    """The suffix `.qasm` stands for both."""
    source = written("it.qasm", "// a comment first\nOPENQASM 3;\nqubit[3] q;\nU(0, 0, 0) q[0];\n")
    assert loaded(source).circuit.num_qubits == 3


def test_openqasm_2_finds_what_it_includes_beside_itself() -> None:
    """Not only in the working directory."""
    written("there/own.inc", "gate twice a { x a; x a; }\n")
    text = 'OPENQASM 2.0;\ninclude "qelib1.inc";\ninclude "own.inc";\nqreg q[1];\ntwice q[0];\n'
    assert loaded(written("there/it.qasm", text)).circuit.count_ops()["twice"] == 1


def test_qpy_is_read_with_its_parameters() -> None:
    """What Qiskit wrote comes back."""
    circuit = QuantumCircuit(2)
    circuit.rx(Parameter("angle"), 1)
    found = loaded(saved(circuit), "estimator", parameter_values={"angle": 0.1}, observables={"z": {"ZI": 1.0}})
    assert found.circuit == circuit


def test_a_python_file_takes_params_by_name() -> None:
    """What is not given keeps the default of `build`."""
    circuit = loaded(written("it.py", ONE_QUBIT), params={"gates": 3}).circuit
    assert circuit.count_ops()["x"] == 3


def test_observables_of_a_python_file_take_the_params_that_they_name() -> None:
    """`build` takes two, `observables` one of them."""
    text = ONE_QUBIT + '\ndef observables(gates):\n    return {"z": {"Z": gates}}\n'
    found = loaded(written("it.py", text), params={"gates": 3, "label": "r"})
    assert found.observables["z"] == SparsePauliOp("Z", 3.0)


def test_the_working_directory_comes_before_its_circuits_folder() -> None:
    """`it.py` beside `circuits/it.py`."""
    written("circuits/it.py", ONE_QUBIT.replace("gates=1", "gates=2"))
    assert loaded("it.py").circuit.count_ops()["x"] == 2
    written("it.py", ONE_QUBIT)
    assert loaded("it.py").circuit.count_ops()["x"] == 1


@pytest.mark.parametrize("source", ["circuits/ghz.py", "ghz.py"])
def test_the_users_own_circuits_come_before_the_shipped_ones(source: str) -> None:
    """A `circuits/ghz.py` in the working directory replaces ours."""
    assert loaded(source, params={"num_qubits": 3}).circuit.num_qubits == 3
    written("circuits/ghz.py", ONE_QUBIT)
    assert loaded(source).circuit.num_qubits == 1


# --- files that are wrong -----------------------------------------------------------------------------------------


def test_a_missing_file_is_told() -> None:
    """With the kinds of file there are."""
    assert refusal("nope.qasm") == (
        f"circuit.source: given 'nope.qasm', which is no file; allowed: a file ending in {KINDS}; "
        "remedy: give the path of an existing file in circuit.source"
    )


def test_a_mistyped_file_is_told_with_the_nearest_one() -> None:
    """Among the user's own and the shipped circuits."""
    assert refusal("circuits/gzh.py").endswith("; remedy: circuit.source=circuits/ghz.py")


def test_a_file_of_another_kind_is_refused() -> None:
    """By its suffix."""
    assert refusal(written("notes.txt", "x")) == (
        f"circuit.source: given notes.txt; allowed: a file ending in {KINDS}; remedy: rename the file by what it holds"
    )


def test_broken_openqasm_2_is_told_with_its_line() -> None:
    """A semicolon is lacking at the end of line 4, which shows in line 5."""
    source = written("it.qasm", 'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\nh q[0]\ncx q[0], q[1];\n')
    assert refusal(source) == (
        "circuit.source: given it.qasm, where: line 5,0: needed ';', but instead saw an identifier; "
        "allowed: a valid OpenQASM 2 file; remedy: mend it.qasm"
    )


def test_an_unknown_register_is_told_with_its_line() -> None:
    """In OpenQASM 2."""
    source = written("it.qasm", 'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\nh r[0];\n')
    assert refusal(source) == (
        "circuit.source: given it.qasm, where: line 4,2: 'r' is not defined in this scope; "
        "allowed: a valid OpenQASM 2 file; remedy: mend it.qasm"
    )


@pytest.mark.parametrize(
    ("fourth", "line"), [("h q[0]\ncx q[0], q[1];", 5), ("h r[0];", 4), ("nope q[0];", 4), ("h q[5];", 4)]
)
def test_broken_openqasm_3_is_told_with_its_line(fourth: str, line: int) -> None:
    """A lacking semicolon, an unknown register, an unknown gate, a qubit that is not there."""
    told = refusal(written("it.qasm3", f'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[2] q;\n{fourth}\n'))
    assert told.startswith("circuit.source: given it.qasm3, where: ")
    assert f"line {line}" in told
    assert told.endswith("; allowed: a valid OpenQASM 3 file; remedy: mend it.qasm3")


def test_a_qasm_file_that_is_no_text_is_refused() -> None:
    """A file in another encoding, or no text at all."""
    assert refusal(written("it.qasm", b"\xff\xfe\x00")).startswith("circuit.source: given it.qasm")


@pytest.mark.parametrize("content", [b"", b"junk", b"QISKIT\x0d" + bytes(40)])
def test_broken_qpy_is_refused(content: bytes) -> None:
    """Empty, something else, or cut off."""
    told = refusal(written("it.qpy", content))
    assert told.startswith("circuit.source: given it.qpy, where: ")
    assert told.endswith("; allowed: a valid QPY file; remedy: mend it.qpy")


def test_several_circuits_in_one_qpy_file_are_refused() -> None:
    """Which one would be meant?"""
    assert refusal(saved(QuantumCircuit(1), QuantumCircuit(2))) == (
        "circuit.source: given it.qpy with 2 circuits; allowed: one circuit a file; remedy: split the file"
    )


def test_a_circuit_without_qubits_is_refused() -> None:
    """An empty OpenQASM file is one; no backend could run it."""
    assert refusal(written("it.qasm", "OPENQASM 2.0;\n")).startswith("circuit")


def test_params_for_a_file_that_takes_none_are_refused() -> None:
    """Only Python files have a `build` to take them."""
    assert refusal(DATA / "bell.qasm", params={"n": 2}) == (
        "circuit.params: given n; allowed: nothing for a .qasm file, which takes none; remedy: leave circuit.params "
        "out; values of free parameters go into circuit.parameter_values"
    )


def test_a_python_file_without_build_is_refused() -> None:
    """The one function that it must define."""
    assert refusal(written("it.py", "x = 1\n")) == (
        "circuit.source: given it.py without build; allowed: a Python file with build(...); "
        "remedy: define build in it.py"
    )


def test_build_must_return_a_circuit() -> None:
    """The type that came instead is told."""
    assert refusal(written("it.py", "def build():\n    return 3\n")) == (
        "circuit.source: given it.py, whose build returned int; allowed: a QuantumCircuit from build; "
        "remedy: return one in it.py"
    )


def test_observables_must_return_a_mapping() -> None:
    """The type that came instead is told."""
    assert refusal(written("it.py", ONE_QUBIT + "\ndef observables():\n    return 3\n")) == (
        "circuit.source: given it.py, whose observables returned int; allowed: a mapping of names to observables; "
        "remedy: return one in it.py"
    )


RAISING = "def build(n):\n    if n > 0:\n        return 1 // (n - n)\n"


@pytest.mark.parametrize("absolute", [True, False])
def test_what_build_raises_is_told_with_file_and_line(absolute: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Line 3 of the user's own file, whether its path was typed absolute or relative."""
    name = written("it.py", RAISING)
    source = Path(name).resolve() if absolute else Path(name)
    told = refusal(source, params={"n": 1})
    assert "line 3 refuses with ZeroDivisionError: integer division or modulo by zero;" in told
    assert f"{source}, line 3" in told or f"{source.resolve()}, line 3" in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import math\nimport no_such_module_anywhere\n", "line 2 refuses with ModuleNotFoundError"),
        ("x = 1\ndef build(:\n", "SyntaxError: invalid syntax (it.py, line 2)"),
        ("def build():\n    raise SystemExit(3)\n", "line 2 refuses with SystemExit"),
    ],
)
def test_a_python_file_that_cannot_be_run_is_told_with_its_line(text: str, told: str) -> None:
    """A module that is not there, a syntax error, and a file that would end the whole command."""
    assert told in refusal(written("it.py", text))


def test_unknown_and_lacking_params_are_told_together() -> None:
    """Each by its path, with the nearest name."""
    source = written("it.py", "def build(width, depth):\n    pass\n")
    assert refusals(source, params={"widht": 2}) == [
        "circuit.params.width: given nothing; allowed: a value; remedy: +circuit.params.width=<value>",
        "circuit.params.depth: given nothing; allowed: a value; remedy: +circuit.params.depth=<value>",
        (
            "circuit.params.widht: given an unknown parameter; allowed: width, depth; "
            "remedy: did you mean circuit.params.width?"
        ),
    ]


def test_a_python_file_may_hold_a_dataclass() -> None:
    """Which looks its own module up by its name."""
    text = "from __future__ import annotations\nfrom dataclasses import dataclass\n" + ONE_QUBIT
    assert loaded(written("it.py", text + "\n@dataclass\nclass Angle:\n    value: float\n")).circuit.num_qubits == 1


def test_build_with_keyword_arguments_takes_any() -> None:
    """`**params` is the user's own business."""
    text = ONE_QUBIT.replace('label="q"', "**others")
    assert loaded(written("it.py", text), params={"anything": 1}).circuit.num_qubits == 1


def test_a_mistake_in_a_task_is_told_by_the_tasks_path() -> None:
    """The path of the section is handed in."""
    with pytest.raises(ConfigError, match=r"tasks\.raw\.circuit\.source: given 'nope\.qasm'"):
        load(section("nope.qasm"), "raw", "tasks.raw.circuit")


# --- parameter values ---------------------------------------------------------------------------------------------


def sets_of(broadcast: str = "zip", text: str = TWO_ANGLES, **values: object) -> ParameterSets:
    """Return the parameter sets of a circuit, which has the angles a and b unless another is given."""
    source = written("it.qasm3" if "OPENQASM" in text else "it.py", text)
    return loaded(source, parameter_values=values, broadcast=broadcast).sets


def values_refused(text: str = TWO_ANGLES, **values: object) -> list[str]:
    """Return the lines with which parameter values are refused."""
    source = written("it.qasm3" if "OPENQASM" in text else "it.py", text)
    return refusals(source, parameter_values=values)


def test_a_circuit_without_parameters_has_one_set_of_none() -> None:
    """Shape (1, 0)."""
    assert loaded("bell.py").sets.values.shape == (1, 0)


def test_numbers_make_one_set() -> None:
    """Columns in the order of the circuit's parameters, whatever the order written."""
    found = sets_of(b=2.0, a=1.0)
    assert found.names == ("a", "b")
    assert found.values.tolist() == [[1.0, 2.0]]


def test_zip_goes_side_by_side() -> None:
    """And a single number goes with each."""
    assert sets_of(a=[1.0, 2.0, 3.0], b=[4.0, 5.0, 6.0]).values.tolist() == [[1, 4], [2, 5], [3, 6]]
    assert sets_of(a=[1.0, 2.0, 3.0], b=4.0).values.tolist() == [[1, 4], [2, 4], [3, 4]]


def test_in_a_product_the_parameter_written_last_varies_fastest() -> None:
    """As in nested loops, outermost first."""
    assert sets_of("product", a=[1.0, 2.0], b=[3.0, 4.0, 5.0]).values.tolist() == [
        [1, 3], [1, 4], [1, 5], [2, 3], [2, 4], [2, 5],
    ]  # fmt: skip
    assert sets_of("product", b=[3.0, 4.0], a=[1.0, 2.0]).values.tolist() == [[1, 3], [2, 3], [1, 4], [2, 4]]


def test_linspace_holds_both_ends() -> None:
    """0 to 1 in 5 values."""
    assert sets_of(a={"linspace": [0.0, 1.0, 5.0]}, b=0.0).values[:, 0].tolist() == [0, 0.25, 0.5, 0.75, 1]


@pytest.mark.parametrize("count", [2.5, 0.0, -3.0])
def test_a_linspace_count_is_a_whole_number_from_1(count: float) -> None:
    """Told with an example."""
    assert values_refused(a={"linspace": [0.0, 1.0, count]}, b=0.0) == [
        (
            f"circuit.parameter_values.a: given a count of {count}; allowed: a whole number from 1; "
            "remedy: 'circuit.parameter_values.a={linspace: [0.0, 1.0, 50]}'"
        )
    ]


def test_random_values_are_those_of_numpys_generator() -> None:
    """Uniform in [low, high), by the seed: the same again, and others for another seed."""

    def drawn(seed: int) -> list[float]:
        return list(sets_of(a={"random": {"count": 4, "low": -1.0, "high": 1.0, "seed": seed}}, b=0.0).values[:, 0])

    assert drawn(7) == list(np.random.default_rng(7).uniform(-1, 1, 4))
    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)


def test_values_come_from_an_npy_file() -> None:
    """Sets along the first axis."""
    np.save("values.npy", np.array([1.0, 2.0, 3.0]))
    assert sets_of(a={"file": "values.npy"}, b=0.0).values[:, 0].tolist() == [1, 2, 3]


def test_values_come_from_a_csv_file_without_header() -> None:
    """One set per line, empty lines left out."""
    written("values.csv", "1\n\n2.5\n-3e-1\n")
    assert sets_of(a={"file": "values.csv"}, b=0.0).values[:, 0].tolist() == [1, 2.5, -0.3]


def test_values_come_from_the_column_of_a_csv_file_that_bears_their_name() -> None:
    """Two parameters can share one file."""
    written("values.csv", "shot, b, a\n7, 3, 1\n8, 4, 2\n")
    assert sets_of(a={"file": "values.csv"}, b={"file": "values.csv"}).values.tolist() == [[1, 3], [2, 4]]


def test_a_vector_takes_a_list_of_lists_one_for_each_set() -> None:
    """And a plain list of its length is one set, a number the same for all its elements."""
    assert sets_of(text=VECTOR, theta=[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]).values.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert sets_of(text=VECTOR, theta=[1.0, 2.0]).values.tolist() == [[1, 2]]
    assert sets_of(text=VECTOR, theta=1.0).values.tolist() == [[1, 1]]


def test_a_vector_is_named_by_its_elements() -> None:
    """In the order of their indices."""
    assert sets_of(text=VECTOR, theta=1.0).names == ("theta[0]", "theta[1]")


@pytest.mark.parametrize("header", ["theta[0],theta[1]", "theta[1],theta[0]"])
def test_a_vector_takes_the_columns_of_a_csv_file_by_their_names(header: str) -> None:
    """Whatever the order of the columns."""
    rows = ["1,2", "3,4"] if header.startswith("theta[0]") else ["2,1", "4,3"]
    written("values.csv", "\n".join([header, *rows]))
    assert sets_of(text=VECTOR, theta={"file": "values.csv"}).values.tolist() == [[1, 2], [3, 4]]


def test_a_vector_of_another_length_is_refused() -> None:
    """Told with the length wanted."""
    assert values_refused(VECTOR, theta=[[1.0, 2.0, 3.0]]) == [
        (
            "circuit.parameter_values.theta: given values of shape (1, 3); allowed: 2 numbers per parameter set; "
            "remedy: give a list of lists of 2 numbers"
        )
    ]


def test_lengths_that_do_not_fit_side_by_side_are_refused() -> None:
    """With the other way to combine as the remedy."""
    assert values_refused(a=[1.0, 2.0], b=[1.0, 2.0, 3.0]) == [
        (
            "circuit.parameter_values: given a of 2, b of 3; allowed: equal lengths, or one value; "
            "remedy: circuit.broadcast=product"
        )
    ]


def test_values_and_parameters_that_do_not_meet_are_told_together() -> None:
    """A value without a parameter, and a parameter without a value."""
    assert values_refused(aa=1.0, a=0.0) == [
        (
            "circuit.parameter_values.aa: given a value without a parameter; allowed: a, b; "
            "remedy: did you mean circuit.parameter_values.a?"
        ),
        (
            "circuit.parameter_values.b: given nothing; allowed: a value for each free parameter; "
            "remedy: '+circuit.parameter_values.b=0.5'"
        ),
    ]


def test_a_value_for_a_circuit_without_parameters_is_refused() -> None:
    """With the override that takes it away."""
    assert refusal("bell.py", parameter_values={"theta": 1.0}) == (
        "circuit.parameter_values.theta: given a value without a parameter; allowed: nothing, the circuit has no free "
        "parameters; remedy: leave it out: '~circuit.parameter_values.theta'"
    )


def test_a_missing_file_of_values_is_told() -> None:
    """By the path of its field."""
    assert values_refused(a={"file": "nope.csv"}, b=0.0) == [
        (
            "circuit.parameter_values.a.file: given 'nope.csv', which is no file; allowed: a .npy or .csv file; "
            "remedy: give the path of an existing file"
        )
    ]


def test_a_file_of_values_of_another_kind_is_refused() -> None:
    """By its suffix."""
    written("values.txt", "1\n")
    assert values_refused(a={"file": "values.txt"}, b=0.0) == [
        (
            "circuit.parameter_values.a.file: given values.txt; allowed: a file ending in .npy or .csv; "
            "remedy: convert it with numpy.save"
        )
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("values.csv", b"phi,psi\n1,2\n"),
        ("values.csv", b"a\n1\nx\n"),
        ("values.csv", b"b,a\n1,2\n3\n"),
        ("values.csv", b""),
        ("values.csv", b"a\n"),
        ("values.csv", b"1\nnan\n"),
        ("values.npy", b""),
        ("values.npy", b"junk"),
    ],
    ids=["no such column", "no number", "short line", "empty", "header only", "nan", "empty npy", "broken npy"],
)
def test_a_broken_file_of_values_is_refused(name: str, content: bytes) -> None:
    """Before anything runs on no values, or on wrong ones."""
    (told,) = values_refused(a={"file": written(name, content)}, b=0.0)
    assert told.startswith("circuit.parameter_values.a")
    assert name in told


# --- what is measured ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["raw", "sampler"])
def test_a_circuit_without_measurement_is_measured_for_counting(mode: str) -> None:
    """All qubits, into the register `meas`, bit j from qubit j."""
    circuit = loaded("bell.py", mode).circuit
    assert [(register.name, register.size) for register in circuit.cregs] == [("meas", 2)]
    assert measured_bits(circuit) == {0: 0, 1: 1}


def test_a_circuits_own_measurement_is_left_alone() -> None:
    """Also where it measures less than everything, or crosswise."""
    circuit = permuted()
    assert loaded(saved(circuit)).circuit == circuit


def test_final_measurements_are_taken_off_for_the_estimator() -> None:
    """And with them their register."""
    circuit = loaded(DATA / "bell.qasm", "estimator", observables={"zz": {"ZZ": 1.0}}).circuit
    assert dict(circuit.count_ops()) == {"h": 1, "cx": 1}
    assert circuit.num_clbits == 0


def test_never_leaves_nothing_to_count() -> None:
    """Refused for a circuit that does not measure by itself."""
    assert refusal("bell.py", measure="never") == (
        "circuit.measure: given never, for a circuit without measurements; allowed: auto or a list of qubits; "
        "remedy: circuit.measure=auto, or mode=estimator"
    )


def test_never_keeps_a_circuits_own_measurement() -> None:
    """It only adds none."""
    assert loaded(saved(permuted()), measure="never").circuit == permuted()


def test_never_does_not_hinder_the_estimator() -> None:
    """Which measures by itself."""
    assert loaded("bell.py", "estimator", measure="never").circuit.num_clbits == 0


def test_a_list_of_qubits_is_measured_in_its_order() -> None:
    """The first qubit named gives bit 0, the rightmost character."""
    circuit = loaded("ghz.py", params={"num_qubits": 3}, measure=[2, 0]).circuit
    assert measured_bits(circuit) == {2: 0, 0: 1}


def test_a_qubit_to_measure_that_is_not_there_is_told() -> None:
    """With those that are."""
    assert refusal("bell.py", measure=[0, 2]) == (
        "circuit.measure: given qubit 2; allowed: qubits 0 to 1; remedy: circuit.measure=auto"
    )


def test_qubits_to_measure_do_not_overwrite_a_register_of_the_circuit() -> None:
    """`measure_all` calls its register `meas` too."""
    circuit = QuantumCircuit(2)
    circuit.measure_all()
    assert refusal(saved(circuit), measure=[0]) == (
        "circuit.measure: given an added measurement beside the circuit's own register meas; "
        "allowed: one register of that name; remedy: circuit.measure=auto"
    )


def test_the_estimator_refuses_control_flow() -> None:
    """With the modes that take it."""
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    with circuit.if_test((0, 1)):
        circuit.x(0)
    assert refusal(saved(circuit), "estimator", observables={"z": {"Z": 1.0}}) == (
        "circuit: given a circuit with control flow in mode=estimator; allowed: circuits without control flow; "
        "remedy: mode=sampler or mode=raw"
    )


def test_the_estimator_refuses_measurement_before_the_end() -> None:
    """Which it could not take off."""
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    circuit.x(0)
    assert refusal(saved(circuit), "estimator", observables={"z": {"Z": 1.0}}) == (
        "circuit: given a circuit that measures before its end in mode=estimator; allowed: measurements at the end, "
        "where they are taken off; remedy: mode=sampler or mode=raw"
    )


def test_a_measurement_inside_control_flow_counts_as_one() -> None:
    """So none is added."""
    circuit = QuantumCircuit(1, 1)
    with circuit.for_loop(range(2)):
        circuit.measure(0, 0)
    assert loaded(saved(circuit)).circuit.cregs == circuit.cregs


def test_measured_bits_follow_a_crosswise_measurement() -> None:
    """Qubit 0 into bit 1, qubit 1 into bit 0."""
    assert measured_bits(permuted()) == {0: 1, 1: 0}


def test_a_qubit_is_not_measured_where_something_follows() -> None:
    """A gate after the measurement, or another qubit in the same bit; a barrier or a delay does no harm."""
    circuit = QuantumCircuit(4, 3)
    circuit.measure([0, 1], [0, 1])
    circuit.x(0)
    circuit.measure([2, 3], [1, 2])
    circuit.barrier()
    circuit.delay(100, 2)
    assert measured_bits(circuit) == {2: 1, 3: 2}


def test_a_circuit_is_dynamic_where_outcomes_come_before_its_end() -> None:
    """Measurement or reset on the way, or control flow."""
    early, reset = QuantumCircuit(1, 1), QuantumCircuit(1)
    early.measure(0, 0)
    early.x(0)
    reset.reset(0)
    assert [kind_of(circuit) for circuit in (permuted(), early, reset)] == ["static", "dynamic", "dynamic"]


# --- registers ----------------------------------------------------------------------------------------------------


def test_counts_keep_registers_apart() -> None:
    """The last register stands leftmost: in 101 the 10 is `b` and the 1 is `a`."""
    counts = Counts((("a", 1), ("b", 2)), ({"101": 3, "100": 1, "011": 2}, {"000": 5}))
    assert counts.by_register() == [
        {"a": {"1": 5, "0": 1}, "b": {"10": 4, "01": 2}},
        {"a": {"0": 5}, "b": {"00": 5}},
    ]
    assert counts.shots() == [6, 5]


def test_expectation_values_from_counts_follow_the_measurement() -> None:
    """Qubit 0 is in bit 1, so 10 means that qubit 0 reads 1 and qubit 1 reads 0: <Z_0> = -1, <Z_1> = 1."""
    counts = Counts((("c", 2),), ({"10": 100},))
    wanted = {"z_0": SparsePauliOp("IZ"), "z_1": SparsePauliOp("ZI"), "zz": SparsePauliOp("ZZ")}
    assert expectations_from_counts(counts, wanted, permuted()).values.tolist() == [[-1, 1, -1]]


def test_expectation_values_from_counts_have_the_error_of_a_mean() -> None:
    """75 of 100 shots read 0: <Z> = 0.5, with a standard error of sqrt((1 - 0.25) / 100)."""
    circuit = QuantumCircuit(QuantumRegister(1), ClassicalRegister(1, "c"))
    circuit.measure(0, 0)
    found = expectations_from_counts(Counts((("c", 1),), ({"0": 75, "1": 25},)), {"z": SparsePauliOp("Z")}, circuit)
    assert found.values[0, 0] == pytest.approx(0.5)
    assert found.errors[0, 0] == pytest.approx(math.sqrt(0.75 / 100))


def test_expectation_values_from_counts_span_registers() -> None:
    """Qubit 0 in `a`, qubit 1 in `b`: the joint outcome 10 is `b` = 1, `a` = 0, hence <Z_0 Z_1> = -1."""
    circuit = QuantumCircuit(QuantumRegister(2), ClassicalRegister(1, "a"), ClassicalRegister(1, "b"))
    circuit.measure([0, 1], [0, 1])
    counts = Counts((("a", 1), ("b", 1)), ({"10": 3, "11": 1},))
    wanted = {"z_0": SparsePauliOp("IZ"), "zz": SparsePauliOp("ZZ")}
    assert expectations_from_counts(counts, wanted, circuit).values[0] == pytest.approx([0.5, -0.5])


# --- observables --------------------------------------------------------------------------------------------------

WIDTH = (
    "a Pauli string such as ZZII (letters I, X, Y, Z; the rightmost is qubit 0) or a mapping of Pauli strings of one "
    "width to coefficients, one letter for each of the circuit's 2 qubits"
)


def test_observables_that_are_asked_for_replace_those_of_the_file() -> None:
    """`bell.py` has zz and xx."""
    found = loaded("bell.py", "estimator", observables={"mine": {"ZZ": 0.5, "XX": 0.25}})
    assert dict(found.observables) == {"mine": SparsePauliOp(["ZZ", "XX"], [0.5, 0.25])}


def test_observables_of_another_width_are_told_all_at_once() -> None:
    """Each by its name, with the width of the circuit."""
    assert refusals("bell.py", "estimator", observables={"a": {"ZZZ": 1.0}, "b": {"ZZ": 1.0}, "c": {"Z": 1.0}}) == [
        f"circuit.observables.{name}: given an observable over {width} qubits; allowed: {WIDTH}; "
        "remedy: write 2 letters, I where nothing is measured"
        for name, width in (("a", 3), ("c", 1))
    ]


@pytest.mark.parametrize("mode", ["raw", "sampler"])
def test_counts_cannot_tell_an_observable_that_is_not_diagonal(mode: str) -> None:
    """One that was asked for is refused, with the mode that tells it."""
    assert refusal("bell.py", mode, observables={"xx": {"XX": 1.0}}) == (
        "circuit.observables.xx: given an observable that counts cannot tell: it is not diagonal (X or Y in it); "
        "allowed: I and Z on measured qubits in mode=raw and mode=sampler; remedy: mode=estimator"
    )


def test_all_observables_that_counts_cannot_tell_are_told_at_once() -> None:
    """Not one a run."""
    told = refusals("bell.py", observables={"xx": {"XX": 1.0}, "zz": {"ZZ": 1.0}, "yy": {"YY": 1.0}})
    assert [line.partition(":")[0] for line in told] == ["circuit.observables.xx", "circuit.observables.yy"]


def test_the_circuit_files_own_observables_are_left_out_with_a_note() -> None:
    """They were not asked for, and the estimator tells them."""
    found = loaded("bell.py")
    assert list(found.observables) == ["zz"]
    assert found.notes == ("observable xx left out: it is not diagonal (X or Y in it); mode=estimator tells it",)


def test_an_observable_on_a_qubit_that_is_not_measured_is_refused() -> None:
    """Z on qubit 1, of which qubit 0 alone is measured."""
    assert refusal("bell.py", measure=[0], observables={"z": {"ZI": 1.0}}) == (
        "circuit.observables.z: given an observable that counts cannot tell: qubit 1 is not measured at the end; "
        "allowed: I and Z on measured qubits in mode=raw and mode=sampler; remedy: mode=estimator"
    )


def test_an_observable_on_measured_qubits_is_kept() -> None:
    """Identity on the others does no harm."""
    assert list(loaded("bell.py", measure=[0], observables={"z": {"IZ": 1.0}}).observables) == ["z"]


def test_the_estimator_needs_an_observable() -> None:
    """OpenQASM files bring none."""
    assert refusal(DATA / "bell.qasm", "estimator") == (
        "circuit.observables: given none, and the circuit file has none of its own; allowed: at least one observable "
        "in mode=estimator; remedy: '+circuit.observables={zz: ZZ}', or mode=sampler"
    )


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        ('{"a": "Q"}', "given 'Q'; allowed: a Pauli string such as ZZII"),
        ('{"a": 5}', "given 5; allowed: a Pauli string such as ZZII"),
        ('{"a": SparsePauliOp("Z", 1j)}', "given complex coefficients; allowed: real coefficients"),
        ('{"a": "ZZ"}', "given an observable over 2 qubits; allowed: a Pauli string such as ZZII"),
    ],
)
def test_a_circuit_files_wrong_observable_is_told_with_file_and_name(returned: str, told: str) -> None:
    """A letter, a type, a complex number, a width."""
    text = f"from qiskit.quantum_info import SparsePauliOp\n{ONE_QUBIT}\ndef observables():\n    return {returned}\n"
    line = refusal(written("it.py", text))
    assert line.startswith(f"it.py: observables().a: {told}")
    assert "<value>" not in line


def test_a_circuit_files_observables_may_be_qiskits_own() -> None:
    """Operators, Paulis, strings and mappings."""
    returned = '{"a": SparsePauliOp("Z", 0.5), "b": Pauli("Z"), "c": "Z", "d": {"Z": 2}}'
    imports = "from qiskit.quantum_info import Pauli, SparsePauliOp\n"
    text = f"{imports}{ONE_QUBIT}\ndef observables():\n    return {returned}\n"
    found: dict[str, Any] = dict(loaded(written("it.py", text)).observables)
    assert {name: operator.coeffs.real.tolist() for name, operator in found.items()} == {
        "a": [0.5],
        "b": [1],
        "c": [1],
        "d": [2],
    }


# Drawings


def test_a_large_device_is_drawn_by_its_active_qubits():
    """Two of 127 qubits do something: only their lines are drawn, a barrier over all aside."""
    circuit = QuantumCircuit(127)
    circuit.h(5)
    circuit.barrier()
    circuit.cx(5, 126)
    labels = [line.partition(":")[0].strip() for line in drawn(circuit).splitlines() if ":" in line]
    assert labels == ["q_5", "q_126"]


def test_a_huge_circuit_is_left_out_with_the_reason():
    """Fifty active qubits fit on no page, and the file says so."""
    circuit = QuantumCircuit(50)
    circuit.h(range(50))
    assert drawn(circuit) == "Not drawn: 50 qubits and 50 operations are too many for a page.\n"
