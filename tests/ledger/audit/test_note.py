"""Signed notes are read and written as other implementations of the format do."""

import pytest

from progress_ledger.ledger.audit import note as notes

# A key, its vkey and a note of the format's own published description (Go's note package).
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_a_published_note_verifies_with_its_published_key() -> None:
    pytest.importorskip("cryptography")
    key = notes.parse_verifier_key(PETER)
    note = notes.parse_note(PETER_NOTE)
    assert key.text == PETER
    assert key.signed(note)
    assert not key.signed(note._replace(text=note.text.replace("your", "our")))
    assert notes.format_note(note.text, note.lines) == PETER_NOTE


def test_a_checkpoint_is_three_lines_and_its_signature_is_kept_with_a_witness_beside_it() -> None:
    pytest.importorskip("cryptography")
    signer = notes.new_signer("ledger.example/0123456789abcdef")
    witness = notes.new_signer("witness.example/w1")
    head = notes.Checkpoint(signer.name, 1042, bytes(range(32)))
    key, cosignature = witness.cosign(head.text, 1_800_000_000)
    text = notes.format_note(head.text, [signer.line(head.text), cosignature, "— stranger AAAAAAA="])
    note = notes.parse_note(text)
    assert notes.parse_checkpoint(text) == notes.parse_checkpoint(head.text) == head
    assert signer.public.signed(note)
    assert key.signed(note)
    assert not witness.public.signed(note)
    assert notes.parse_verifier_key(key.text) == key
    assert [notes.signature_time(line) for line in note.lines] == [None, 1_800_000_000, None]
    assert notes.parse_signer(signer.secret_text).public == signer.public
    assert signer.secret_text not in repr(signer)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a\nb\n",
        "a\n\nno dash\n",
        "a\n\n— name\n",
        "a\n\n— name !!!!\n",
        "a\n\n— name AAAAAAA=",
        "a\n\n— name AAAA\n",
    ],
)
def test_what_is_no_note_is_refused(text: str) -> None:
    with pytest.raises(notes.InvalidNote):
        notes.parse_note(text)


@pytest.mark.parametrize(
    "text", ["a\n1\n", "a\n01\nAAAA\n", "a\n-1\nAAAA\n", "a\n1\nAAAA\n", "a b\n1\n" + "A" * 43 + "=\n"]
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(notes.InvalidNote):
        notes.parse_checkpoint(text)


@pytest.mark.parametrize("text", ["", "name+00000000+AAAA", PETER.replace("c74f", "c74e"), PETER[:-4]])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(notes.InvalidNote):
        notes.parse_verifier_key(text)
    with pytest.raises(notes.InvalidNote):
        notes.parse_signer(text)
    with pytest.raises(notes.InvalidNote):
        notes.parse_signer("PRIVATE+KEY+name+00000000+AAAA")
