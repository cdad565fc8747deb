"""moto's own server, with what EC2 documents and moto 5.2.5 lacks on the plain path of an image.

Binds a free port of 127.0.0.1, prints it, and ends when its standard input does.
"""

import os
import re
import sys
import threading

import moto.server
from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.amis import Ami, AmiBackend
from moto.ec2.models.elastic_block_store import Volume
from moto.ec2.responses.amis import AmisResponse
from moto.moto_api._internal.recorder.models import Recorder
from werkzeug.serving import make_server

# CreateImage, API reference: the constraints of Name.
NAME = re.compile(r"[A-Za-z0-9()\[\] ./\-'@_]{3,128}")

plain_create_image = AmiBackend.create_image
plain_mappings = Ami.block_device_mappings
plain_volume_filter = Volume.get_filter_value


def create_image(self, instance_id, name, description, tag_specifications):
    """Refuses taken and malformed names and instances that are neither running nor stopped; makes a snapshot of each volume, tagged in the same call."""
    if not NAME.fullmatch(name):
        raise EC2ClientError("InvalidAMIName.Malformed", f"AMI name '{name}' is malformed")
    for other in self.amis.values():
        if other.name == name and other.owner_id == self.account_id:
            raise EC2ClientError(
                "InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI {other.id}"
            )
    instance = self.get_instance(instance_id)
    # CreateImage, API reference: an instance "that is either running or stopped".
    if instance.state not in ("running", "stopped"):
        raise EC2ClientError("InvalidParameterValue", "Instance is not in state 'running' or 'stopped'")
    rest = [spec for spec in tag_specifications if spec["ResourceType"] != "snapshot"]
    tags = [tag for spec in tag_specifications if spec["ResourceType"] == "snapshot" for tag in spec["Tags"]]
    ami = plain_create_image(self, instance_id, name, description, rest)
    self.snapshots.pop(ami.ebs_snapshot.id, None)  # of a volume that never was
    ami.root_device_name = instance.root_device_name
    ami.root_device_type = "ebs"
    ami.made = []
    for device, mapping in instance.block_device_mapping.items():
        words = f"Created by CreateImage({instance_id}) for {ami.id}"
        snapshot = self.create_snapshot(mapping.volume_id, words, self.account_id, from_ami=ami.id)
        for tag in tags:
            snapshot.add_tag(tag["Key"], tag["Value"])
        ami.made.append((device, snapshot))
    ami.ebs_snapshot = ami.made[0][1]
    return ami


def block_device_mappings(self):
    """One entry for each snapshot that CreateImage made."""
    if not hasattr(self, "made"):
        return plain_mappings.fget(self)
    return [
        {"DeviceName": device, "Ebs": {"SnapshotId": snapshot.id, "VolumeSize": 8, "VolumeType": "gp3"}}
        for device, snapshot in self.made
    ]


def deregister_image(self):
    """DeleteAssociatedSnapshots: deletes what no other image needs, and says what became of each."""
    ami_id = self._get_param("ImageId")
    both = self._get_bool_param("DeleteAssociatedSnapshots", False)
    self.error_on_dryrun()
    backend = self.ec2_backend
    ami = backend.amis.get(ami_id)
    backend.deregister_image(ami_id)
    result = {"Return": True}
    if both:
        used = {m["Ebs"]["SnapshotId"] for other in backend.amis.values() for m in other.block_device_mappings}
        ends = []
        for mapping in ami.block_device_mappings:
            snapshot_id = mapping["Ebs"]["SnapshotId"]
            if snapshot_id in used:
                ends.append({"SnapshotId": snapshot_id, "ReturnCode": "skipped"})
            else:
                backend.delete_snapshot(snapshot_id)
                ends.append({"SnapshotId": snapshot_id, "ReturnCode": "success"})
        result["DeleteSnapshotResults"] = ends
    return ActionResult(result)


def volume_filter(self, filter_name, method_name=None):
    """Knows `multi-attach-enabled` too."""
    if filter_name == "multi-attach-enabled":
        return "true" if self.multi_attach_enabled else "false"
    return plain_volume_filter(self, filter_name, method_name)


def encode_body(self, body):
    """Records bodies as text."""
    body = body.getvalue() if hasattr(body, "getvalue") else body
    return (body.decode("utf-8", "replace") if isinstance(body, bytes) else body), False


def serve(host, port, app, threaded, request_handler, **_):
    """As moto's own, but on a free port, which it prints once it listens."""
    server = make_server(host, port, app, threaded=threaded, request_handler=request_handler)
    print(server.server_port, flush=True)
    server.serve_forever()


def end_with_stdin():
    sys.stdin.buffer.read()
    os._exit(0)


AmiBackend.create_image = create_image
Ami.block_device_mappings = property(block_device_mappings)
AmisResponse.deregister_image = deregister_image
Volume.get_filter_value = volume_filter
Recorder._encode_body = encode_body
moto.server.run_simple = serve

if __name__ == "__main__":
    threading.Thread(target=end_with_stdin, daemon=True).start()
    moto.server.main(["-H", "127.0.0.1", "-p", "0"])
