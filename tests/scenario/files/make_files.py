"""Makes the files beside it that no tool of Debian can write: real Parquet, ORC, Avro and Arrow files.

They are kept in the tree, as base64 text, so that the tests need none of these packages. To make them anew:
    python3 -m venv V && V/bin/pip install pyarrow fastavro && V/bin/python make_files.py
Made with pyarrow 26.0.1, fastavro 1.13.1.
"""

import base64
import pathlib
import tempfile

import fastavro
import pyarrow as pa
from pyarrow import feather, ipc, orc, parquet

HERE = pathlib.Path(__file__).parent
ROWS = [{"id": n, "name": f"name {n}", "amount": n * 2.5} for n in range(8)]
TABLE = pa.Table.from_pylist(ROWS)
SCHEMA = {"type": "record", "name": "row", "fields": [
    {"name": "id", "type": "long"}, {"name": "name", "type": "string"}, {"name": "amount", "type": "double"}]}


def make(folder):
    parquet.write_table(TABLE, folder / "snappy.parquet", compression="snappy")
    parquet.write_table(TABLE, folder / "zstd.parquet", compression="zstd")
    orc.write_table(TABLE, folder / "plain.orc")
    orc.write_table(TABLE, folder / "zlib.orc", compression="zlib")
    feather.write_feather(TABLE, folder / "feather.arrow", compression="uncompressed")
    with ipc.new_stream(folder / "stream.arrows", TABLE.schema) as stream:
        stream.write_table(TABLE)
    for codec in ("null", "deflate"):
        with open(folder / f"{codec}.avro", "wb") as file:
            fastavro.writer(file, SCHEMA, ROWS, codec=codec, sync_marker=b"0123456789abcdef")


def main():
    with tempfile.TemporaryDirectory() as folder:
        make(pathlib.Path(folder))
        for file in pathlib.Path(folder).iterdir():
            (HERE / f"{file.name}.b64").write_bytes(base64.encodebytes(file.read_bytes()))


main()
