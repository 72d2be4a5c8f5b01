"""Validates a handover's bag with other people's code: the Library of Congress' bagit, the DSSE of securesystemslib and
jsonschema. Each is also shown something that is wrong, which it must refuse.

Usage: validate.py BAG SENDER_KEY RECIPIENT_KEY (public keys in hex)
"""

import copy
import hashlib
import json
import logging
import pathlib
import shutil
import sys
import tempfile

import bagit
from jsonschema import Draft202012Validator
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey


def bag_is_valid(bag):
    bagit.Bag(str(bag)).validate(processes=1)
    print(f"bagit {bagit.VERSION}: valid")
    with tempfile.TemporaryDirectory() as scratch:
        broken = pathlib.Path(scratch) / "bag"
        shutil.copytree(bag, broken)
        file = next(path for path in sorted(broken.glob("data/*/*.jsonl")) if path.stat().st_size)
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
        # What it says of the bag that is broken on purpose is no news.
        logging.disable(logging.ERROR)
        try:
            bagit.Bag(str(broken)).validate(processes=1)
        except bagit.BagError:
            return
    sys.exit("bagit took a bag with a changed byte")


def key_of(public):
    # The key id that the format lays down: the beginning of the digest of the raw key.
    keyid = hashlib.sha256(bytes.fromhex(public)).hexdigest()[:32]
    return SSlibKey(keyid, "ed25519", "ed25519", {"public": public})


def envelope_is_signed(path, keys):
    data = json.loads(path.read_bytes())
    Envelope.from_dict(copy.deepcopy(data)).verify(keys, len(keys))
    print(f"securesystemslib: {path.name} is signed by {len(keys)}")
    changed = Envelope.from_dict(copy.deepcopy(data))
    changed.payload = changed.payload.replace(b"1", b"2", 1)
    try:
        changed.verify(keys, 1)
    except VerificationError:
        return
    sys.exit(f"securesystemslib took a payload of {path.name} that was changed")


def records_fit_their_schemas(bag):
    records = 0
    for path in sorted(bag.glob("data/*/*.schema.json")):
        schema = json.loads(path.read_bytes())
        Draft202012Validator.check_schema(schema)
        validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
        lines = path.with_name(path.name.replace(".schema.json", ".jsonl")).read_bytes().splitlines()
        for line in lines:
            validator.validate(json.loads(line))
        records += len(lines)
        if lines:
            wrong = json.loads(lines[0]) | {"no_such_column": 1}
            if validator.is_valid(wrong):
                sys.exit(f"{path.name} takes a column that it does not name")
    print(f"jsonschema: {records} records fit their schemas")


def main():
    bag, sender, recipient = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    keys = [key_of(sender), key_of(recipient)]
    bag_is_valid(bag)
    envelope_is_signed(bag / "manifest.dsse.json", keys)
    envelope_is_signed(bag / "data/agreement.dsse.json", keys)
    records_fit_their_schemas(bag)


main()
