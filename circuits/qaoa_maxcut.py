"""QAOA for MaxCut: `p` alternating cost and mixer layers with free angles `gamma` and `beta`.

Farhi, Goldstone and Gutmann, arXiv:1411.4028: exp(-i beta B) exp(-i gamma C) per layer, on |+...+>, with
C = sum_(u,v) w_uv (1 - Z_u Z_v)/2 and B = sum_j X_j. Node j of the graph is qubit j.
"""

from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp


def build(graph: list[list[float]], p: int) -> QuantumCircuit:
    """Return the QAOA circuit with ParameterVectors `gamma` and `beta` of length p, in radians; it does not measure.

    exp(-i gamma C) is RZZ(-gamma w) on every edge up to a global phase, exp(-i beta B) is RX(2 beta) on every qubit.
    On a ring of 4 or more nodes with p = 1 the mean cut per edge is 1/2 + sin(4 beta) sin(2 gamma)/4 (Wang et al.,
    PRA 97, 022304 (2018)): at most 3/4, at gamma = pi/4 and beta = pi/8.

    Args:
        graph: Edges [u, v] or [u, v, weight] between nodes 0, 1, ...; weight is 1 where it is left out.
        p: Number of layers, at least 1.

    Raises:
        ValueError: If `p` is below 1 or an edge is not an edge.
    """
    if p <= 0:
        raise ValueError(f"p must be at least 1, given {p}")
    edges = _edges(graph)
    gamma, beta = ParameterVector("gamma", p), ParameterVector("beta", p)
    circuit = QuantumCircuit(_num_nodes(edges), name="qaoa_maxcut")
    circuit.h(circuit.qubits)
    for layer in range(p):
        for u, v, weight in edges:
            circuit.rzz(-weight * gamma[layer], u, v)
        circuit.rx(2 * beta[layer], circuit.qubits)
    return circuit


def observables(graph: list[list[float]]) -> dict[str, SparsePauliOp]:
    """Return `cut`, the mean weight of the cut, C = sum w (1 - Z_u Z_v)/2 with its identity term; diagonal."""
    edges = _edges(graph)
    constant = ("", [], sum(weight for _, _, weight in edges) / 2)
    terms = [("ZZ", [u, v], -weight / 2) for u, v, weight in edges]
    return {"cut": SparsePauliOp.from_sparse_list([constant, *terms], _num_nodes(edges)).simplify()}


def _edges(graph: list[list[float]]) -> list[tuple[int, int, float]]:
    """Return each edge as (u, v, weight), or tell which one is not an edge."""
    edges: list[tuple[int, int, float]] = []
    for edge in graph or [[]]:
        match edge:
            case [int(u), int(v), *weight] if u != v and min(u, v) >= 0 and len(weight) <= 1:
                edges.append((u, v, *(weight or [1.0])))
            case _:
                raise ValueError(
                    f"graph must list edges [u, v] or [u, v, weight] between two nodes 0, 1, ...; given {edge}"
                )
    return edges


def _num_nodes(edges: list[tuple[int, int, float]]) -> int:
    return 1 + max(max(u, v) for u, v, _ in edges)
