"""A client that knows nothing of Tahuka but its protos: compiled as they are, with the stock tools.

Usage: client.py PROTO_DIR GATEWAY PROGRAMME_ID IOM_TOKEN JAPAN_TOKEN
Prints one JSON object: how many households IOM lists and their heads' names, what Japan is told when it
tries, the figures of the report that Japan reads, what health says, and which services reflection lists.
"""

import importlib
import json
import pathlib
import sys
import tempfile

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_tools import protoc


def compiled(proto_dir):
    """Compiles every proto of the contract into a temporary package path."""
    out = tempfile.mkdtemp(prefix="tahuka-stock-client-")
    files = sorted(str(p.relative_to(proto_dir)) for p in pathlib.Path(proto_dir).rglob("*.proto"))
    # grpc_tools brings google/protobuf itself.
    well_known = str(pathlib.Path(protoc.__file__).parent / "_proto")
    failed = protoc.main(
        ["protoc", f"-I{proto_dir}", f"-I{well_known}", f"--python_out={out}", f"--grpc_python_out={out}", *files]
    )
    if failed:
        sys.exit(f"protoc failed: {failed}")
    sys.path.insert(0, out)


def main():
    proto_dir, gateway, programme_id, iom, japan = sys.argv[1:6]
    compiled(proto_dir)
    # google.type comes from the contract's own files, google.protobuf from the installed package.
    household = importlib.import_module("tahuka.registry.v1.household_pb2")
    household_grpc = importlib.import_module("tahuka.registry.v1.household_pb2_grpc")
    report = importlib.import_module("tahuka.insight.v1.report_pb2")
    report_grpc = importlib.import_module("tahuka.insight.v1.report_pb2_grpc")

    channel = grpc.insecure_channel(gateway.removeprefix("http://"))
    households = household_grpc.HouseholdServiceStub(channel)
    reports = report_grpc.ReportServiceStub(channel)

    def as_(token):
        return [("authorization", f"Bearer {token}")]

    request = household.ListHouseholdsRequest(programme_id=programme_id, page_size=1000)
    seen = households.ListHouseholds(request, metadata=as_(iom), timeout=30).households
    try:
        households.ListHouseholds(request, metadata=as_(japan), timeout=30)
        refusal = None
    except grpc.RpcError as error:
        refusal = error.code().name
    request = report.GetProgrammeReportRequest(programme_id=programme_id)
    told = reports.GetProgrammeReport(request, metadata=as_(japan), timeout=30).report
    figures = {
        figure.code: figure.value if figure.HasField("value") else None
        for section in told.sections
        for figure in section.figures
    }
    health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
    print(json.dumps({
        "health": health_pb2.HealthCheckResponse.ServingStatus.Name(health.status),
        "reflected": sorted(ProtoReflectionDescriptorDatabase(channel).get_services()),
        "iom_households": len(seen),
        "iom_heads": sorted({h.head_surname for h in seen}),
        "japan_households": refusal,
        "japan_report": figures,
    }))


main()
