"""HL7 v2 files and batches: patients by identifier, merges included, and what cannot be read."""

from mscprotocol.sample_cases import PROTOCOL
from tests.screening.exports import screen

HEAD = "MSH|^~\\&|LAB|HOSP|||20200406080000+0800||{kind}|{id}|P|2.5\r"
ORU = HEAD + "PID|1||{pid}^^^HOSP||Doe^J||19620314|M\rOBR|1|||777-3^Platelets^LN|||20200406070000+0800\r" \
    "OBX|1|NM|777-3^Platelets^LN||{value}|10*3/uL^^UCUM|||||F|||20200406070000+0800\r"  # fmt: skip
MERGE = HEAD + "EVN|A40|20200406080000+0800\rPID|1||{pid}^^^HOSP||Doe^J||19620314|M\rMRG|{old}^^^HOSP\r"


def oru(number, pid, value="180"):
    return ORU.format(kind="ORU^R01", id=number, pid=pid, value=value)


def test_files_of_several_messages(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.hl7").write_text(oru("1", "P1") + oru("2", "P2"), newline="")
    (folder / "b.txt").write_text(oru("3", "P1", "20"), newline="")
    run = screen(folder, tmp_path / "out")
    assert set(run.answers) == {("P1^^^HOSP", PROTOCOL), ("P2^^^HOSP", PROTOCOL)}
    assert (run.balance.lines, run.balance.kept) == (3, 3)
    assert run.balance.is_even


def test_a_merge_makes_one_patient(tmp_path):
    merge = MERGE.format(kind="ADT^A40", id="3", pid="P2", old="P1")
    (tmp_path / "a.hl7").write_text(oru("1", "P1") + oru("2", "P2") + merge, newline="")
    run = screen(tmp_path / "a.hl7", tmp_path / "out")
    assert set(run.answers) == {("P2^^^HOSP", PROTOCOL)}


def test_what_cannot_be_read_is_named(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    no_pid = HEAD.format(kind="ORU^R01", id="9")
    other = HEAD.format(kind="SIU^S12", id="8") + "PID|1||P1^^^HOSP\r"
    (folder / "a.hl7").write_text(oru("1", "P1") + no_pid + other, newline="")
    (folder / "cut.hl7").write_text("FHS|^~\\&\rBHS|^~\\&\r" + oru("1", "P7"), newline="")
    run = screen(folder, tmp_path / "out")
    assert run.codes == {("line", "no_patient"): 1, ("file", "incomplete_page"): 1}
    assert run.balance.not_read == 1
    assert set(run.answers) == {("P1^^^HOSP", PROTOCOL)}
    assert run.balance.is_even
