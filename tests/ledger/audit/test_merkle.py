"""The tree agrees with RFC 6962's published vectors and with an implementation that is not ours."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from progress_ledger.ledger.audit import merkle

LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
A = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
B = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
C = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
D = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
E = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
F = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
INCLUSION = {
    (0, 1): [],
    (0, 8): [A, B, C],
    (5, 8): [D, E, ROOTS[3]],
    (2, 3): [ROOTS[1]],
    (1, 5): [ROOTS[0], B, D],
}
CONSISTENCY = {(1, 1): [], (1, 8): [A, B, C], (6, 8): [F, E, ROOTS[3]], (2, 5): [B, D]}


class Tree:
    """All tiles of a tree in memory, grown in portions of any size."""

    def __init__(self, leaves: list[bytes], portion: int = 1000) -> None:
        self.edge = merkle.Edge()
        self.tiles: dict[tuple[int, int], bytes] = {}
        for at in range(0, len(leaves), portion):
            for level, index, hashes in self.edge.append(merkle.leaf_hashes(leaves[at : at + portion])):
                self.tiles[level, index] = hashes

    def read(self, level: int, index: int) -> bytes:
        return self.tiles.get((level, index)) or self.edge.levels[level]


def test_roots_are_those_of_the_published_vectors() -> None:
    for size, root in enumerate(ROOTS, 1):
        tree = Tree(LEAVES[:size])
        assert tree.edge.root().hex() == root
        assert merkle.tree_root(tree.read, size).hex() == root
    assert Tree([]).edge.root() == merkle.EMPTY_ROOT
    assert merkle.EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("place", INCLUSION)
def test_inclusion_proofs_are_those_of_the_published_vectors(place: tuple[int, int]) -> None:
    index, size = place
    proof = merkle.inclusion_proof(Tree(LEAVES).read, index, size)
    assert [step.hex() for step in proof] == INCLUSION[place]
    leaf, root = merkle.leaf_hash(LEAVES[index]), bytes.fromhex(ROOTS[size - 1])
    assert merkle.verify_inclusion(leaf, index, size, proof, root)


@pytest.mark.parametrize("sizes", CONSISTENCY)
def test_consistency_proofs_are_those_of_the_published_vectors(sizes: tuple[int, int]) -> None:
    old, new = sizes
    proof = merkle.consistency_proof(Tree(LEAVES).read, old, new)
    assert [step.hex() for step in proof] == CONSISTENCY[sizes]
    roots = bytes.fromhex(ROOTS[old - 1]), bytes.fromhex(ROOTS[new - 1])
    assert merkle.verify_consistency(old, new, proof, *roots)


leaves_of = st.integers(1, 1200).map(lambda size: [b"leaf %d" % index for index in range(size)])


@given(leaves_of, st.integers(1, 700))
@settings(max_examples=25, deadline=None)
def test_portions_do_not_matter(leaves: list[bytes], portion: int) -> None:
    one, other = Tree(leaves, portion), Tree(leaves)
    assert one.tiles == other.tiles
    assert one.edge.levels == other.edge.levels
    again = merkle.Edge(one.edge.size, one.edge.levels)
    assert again.append(merkle.leaf_hashes([b"next"])) == other.edge.append(merkle.leaf_hashes([b"next"]))
    assert again.root() == other.edge.root() != one.edge.root()


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_roots_and_proofs_agree_with_pymerkle(data: st.DataObject) -> None:
    pymerkle = pytest.importorskip("pymerkle")
    leaves = data.draw(leaves_of)
    theirs, ours = pymerkle.InmemoryTree(algorithm="sha256"), Tree(leaves)
    for leaf in leaves:
        theirs.append_entry(leaf)
    size = data.draw(st.integers(1, len(leaves)))
    index = data.draw(st.integers(0, size - 1))
    root = merkle.tree_root(ours.read, size)
    assert root == theirs.get_root(size)
    path = theirs.prove_inclusion(index + 1, size).path
    assert path[1:] == merkle.inclusion_proof(ours.read, index, size)
    old = data.draw(st.integers(1, size))
    proof = merkle.consistency_proof(ours.read, old, size)
    old_root = theirs.get_root(old)
    assert merkle.verify_consistency(old, size, proof, old_root, root)
    pymerkle.verify_consistency(old_root, root, theirs.prove_consistency(old, size))


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_proof_with_anything_changed_is_refused(data: st.DataObject) -> None:
    leaves = data.draw(leaves_of)
    tree, size = Tree(leaves), len(leaves)
    index = data.draw(st.integers(0, size - 1))
    leaf, root = merkle.leaf_hash(leaves[index]), tree.edge.root()
    proof = merkle.inclusion_proof(tree.read, index, size)
    assert merkle.verify_inclusion(leaf, index, size, proof, root)
    assert not merkle.verify_inclusion(merkle.leaf_hash(b"other"), index, size, proof, root)
    assert not merkle.verify_inclusion(leaf, index, size, [*proof, root], root)
    assert not merkle.verify_inclusion(leaf, size, size, proof, root)
    if size > 1:
        wrong = (index + data.draw(st.integers(1, size - 1))) % size
        assert not merkle.verify_inclusion(leaf, wrong, size, proof, root)
        assert not merkle.verify_inclusion(leaf, index, size, proof[:-1], root)
        assert not merkle.verify_inclusion(leaf, index, size, [*proof[:-1], bytes(32)], root)
    old = data.draw(st.integers(0, size))
    old_root = merkle.tree_root(tree.read, old)
    steps = merkle.consistency_proof(tree.read, old, size)
    assert merkle.verify_consistency(old, size, steps, old_root, root)
    assert not merkle.verify_consistency(old, size, steps, bytes(32), root)
    assert not merkle.verify_consistency(old, size, [*steps, bytes(32)], old_root, root)
    if steps:
        assert not merkle.verify_consistency(old, size, steps[:-1], old_root, root)
        assert not merkle.verify_consistency(old, size, steps, old_root, bytes(32))


@given(leaves_of, st.data())
@settings(max_examples=40, deadline=None)
def test_leaves_and_whole_subtrees_between_them_give_the_root(
    leaves: list[bytes], data: st.DataObject
) -> None:
    tree, size = Tree(leaves), len(leaves)
    shown = data.draw(st.sets(st.integers(0, size - 1), max_size=12))
    grown, at = merkle.Range(), 0
    for index in [*sorted(shown), size]:
        for start, width in merkle.cover(at, index):
            grown.push(merkle.range_root(tree.read, start, start + width), width)
        if index < size:
            grown.push(merkle.leaf_hash(leaves[index]))
        at = index + 1
    assert (grown.size, grown.root()) == (size, tree.edge.root())


def test_a_subtree_in_the_wrong_place_is_refused() -> None:
    grown = merkle.Range()
    assert grown.root() == merkle.EMPTY_ROOT
    grown.push(bytes(32))
    with pytest.raises(ValueError, match="cannot stand at index 1"):
        grown.push(bytes(32), 2)
    with pytest.raises(ValueError, match="not in a tree of 3"):
        merkle.inclusion_proof(Tree(LEAVES).read, 3, 3)
    with pytest.raises(ValueError, match="does not fit its size"):
        merkle.Edge(2, [bytes(32)])
