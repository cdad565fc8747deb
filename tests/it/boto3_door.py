"""boto3 at the door of the simulated world: drives every action and asserts what it reads back.

Usage: boto3_door.py ENDPOINT [REGION]    (a fleet with at least six instances tagged Backup=nightly)
Exit 0 and `ok: N checks` on stdout, or a traceback that names the check. Leaves the instances as they were, apart
from the one that it launches and terminates; talks to ENDPOINT and nothing else.
"""

import json
import os
import sys
import time
import urllib.request

os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
for name in ("AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_ENDPOINT_URL"):
    os.environ.pop(name, None)

import boto3  # noqa: E402 (after the environment is clean)
from botocore.config import Config  # noqa: E402
from botocore.exceptions import ClientError, ConnectionClosedError, HTTPClientError  # noqa: E402

ACCOUNT = "111111111111"
# An image of a fleet that is not scaled may take this long; only a world that stands still gets there.
PATIENCE_SECONDS = 120
NONE = {"instance": "i-00000000000000000", "image": "ami-00000000000000000", "snapshot": "snap-00000000000000000"}

checks = 0


def same(got, want, what):
    global checks
    assert got == want, f"{what}: got {got!r}, want {want!r}"
    checks += 1


def true(condition, what):
    same(bool(condition), True, what)


def refused(code, call, **arguments):
    """`call` fails with `code`; answers the message."""
    try:
        call(**arguments)
    except ClientError as error:
        same(error.response["Error"]["Code"], code, f"{call.__name__} {arguments}")
        true(error.response["ResponseMetadata"].get("RequestId"), "an error bears a request id")
        return error.response["Error"]["Message"]
    raise AssertionError(f"{call.__name__} {arguments} was not refused with {code}")


def client(service, endpoint, region, account=ACCOUNT, session=None):
    """A client of `account`, or with the Credentials of an AssumeRole."""
    session = session or {"AccessKeyId": account, "SecretAccessKey": "simulated"}
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=session["AccessKeyId"],
        aws_secret_access_key=session["SecretAccessKey"],
        aws_session_token=session.get("SessionToken"),
        config=Config(retries={"total_max_attempts": 1}, read_timeout=30),
    )


def control(endpoint, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{endpoint}/_sim/{path}", data=data), timeout=30) as answer:
        return answer.read()


def tags(**pairs):
    return [{"Key": key, "Value": value} for key, value in pairs.items()]


def as_dict(listed):
    return {tag["Key"]: tag["Value"] for tag in listed}


def flt(name, *values):
    return [{"Name": name, "Values": list(values)}]


def until(what, probe):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = probe()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen in {PATIENCE_SECONDS} s")


class Door:
    def __init__(self, endpoint, region):
        self.endpoint, self.region = endpoint, region
        self.ec2 = client("ec2", endpoint, region)
        self.stem = f"boto3/{time.time_ns()}"

    def image(self, image):
        found = self.ec2.describe_images(ImageIds=[image], Owners=["self"], IncludeDisabled=True)["Images"]
        same(len(found), 1, "one image by its id")
        return found[0]

    def settled(self, image):
        def probe():
            found = self.ec2.describe_images(Filters=flt("image-id", image))["Images"][0]
            return found if found["State"] != "pending" else None

        return until(f"{image} leaving pending", probe)

    def state(self, instance):
        found = self.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
        return found["State"]["Name"]

    def reboots(self, instance):
        return len(json.loads(control(self.endpoint, "world"))["instances"][instance]["reboots"])

    def create(self, instance, suffix, **more):
        return self.ec2.create_image(InstanceId=instance, Name=f"{self.stem}/{suffix}", **more)["ImageId"]


def identity(door):
    answer = client("sts", door.endpoint, door.region).get_caller_identity()
    same(answer["Account"], ACCOUNT, "the account of the key")
    true(answer["Arn"].startswith(f"arn:aws:iam::{ACCOUNT}:"), "an ARN of the account")
    true(answer["UserId"], "a user id")


def instances(door):
    pages = list(
        door.ec2.get_paginator("describe_instances").paginate(
            Filters=flt("tag:Backup", "nightly"), PaginationConfig={"PageSize": 5}
        )
    )
    true(all(len(page["Reservations"]) == 5 for page in pages[:-1]), "pages are full but for the last")
    found = [one for page in pages for reservation in page["Reservations"] for one in reservation["Instances"]]
    true(len(found) >= 5, "the fleet has five instances tagged Backup=nightly")
    same(len({one["InstanceId"] for one in found}), len(found), "no instance comes twice")
    for one in found:
        same(as_dict(one["Tags"])["Backup"], "nightly", "the filter's tag")
        true(one["LaunchTime"].tzinfo, "a time with a zone")
        true(one["Placement"]["AvailabilityZone"].startswith(door.region), "the zone lies in the region")
        true(one["BlockDeviceMappings"], "volumes are mapped")
    wild = door.ec2.describe_instances(Filters=flt("tag:Backup", "night*", "x") + flt("tag-key", "Back??"))
    same(len(wild["Reservations"]), len(found), "wildcards")
    ids = [one["InstanceId"] for one in found]
    both = door.ec2.describe_instances(Filters=flt("instance-id", ids[0], NONE["instance"]))
    same(len(both["Reservations"]), 1, "a filter forgives an unknown id")
    refused("InvalidInstanceID.NotFound", door.ec2.describe_instances, InstanceIds=[ids[0], NONE["instance"]])
    refused("InvalidInstanceID.Malformed", door.ec2.describe_instances, InstanceIds=["web-1"])
    refused("InvalidParameterValue", door.ec2.describe_instances, Filters=flt("no-such-filter", "x"))
    refused("InvalidParameterValue", door.ec2.describe_instances, MaxResults=4)
    refused("InvalidParameterCombination", door.ec2.describe_instances, MaxResults=5, InstanceIds=ids[:1])
    running = [one for one in found if one["State"]["Name"] == "running" and one["RootDeviceType"] == "ebs"]
    true(len(running) >= 6, "six of them run and can be imaged")
    return running


def volumes(door, instance):
    mapped = {m["Ebs"]["VolumeId"]: m["DeviceName"] for m in instance["BlockDeviceMappings"]}
    found = door.ec2.describe_volumes(Filters=flt("attachment.instance-id", instance["InstanceId"]))["Volumes"]
    same({v["VolumeId"]: v["Attachments"][0]["Device"] for v in found}, mapped, "the volumes of an instance")
    found = door.ec2.describe_volumes(Filters=flt("volume-id", *mapped))["Volumes"]
    same({v["VolumeId"] for v in found}, set(mapped), "volumes by filter")
    multi = door.ec2.describe_volumes(Filters=flt("multi-attach-enabled", "true"))["Volumes"]
    true(all(v["MultiAttachEnabled"] for v in multi), "multi-attach volumes say so")
    refused("InvalidVolume.NotFound", door.ec2.describe_volumes, VolumeIds=["vol-00000000000000000"])


def life_of_an_image(door, instance):
    ec2, who = door.ec2, instance["InstanceId"]
    before = door.reboots(who)
    marks = {"stillframe:due": "2026-11-20T02:30:00Z", "Umlaut": "Grüße <&> \"x\""}
    specs = [{"ResourceType": kind, "Tags": tags(**marks)} for kind in ("image", "snapshot")]
    refused("DryRunOperation", ec2.create_image, InstanceId=who, Name=f"{door.stem}/x", DryRun=True)
    image = door.create(who, "life", Description="one & two", NoReboot=False, TagSpecifications=specs)
    same(door.reboots(who) - before, 1, "CreateImage reboots")
    same(door.state(who), "running", "the state stays running")
    first = door.image(image)
    same(as_dict(first["Tags"]), marks, "tags from the first moment")
    same(first["SourceInstanceId"], who, "its source")
    refused("InvalidAMIName.Duplicate", ec2.create_image, InstanceId=who, Name=f"{door.stem}/life")
    for name in ("n" * 129, "at 02:30"):  # boto3 itself refuses fewer than 3 characters
        refused("InvalidAMIName.Malformed", ec2.create_image, InstanceId=who, Name=name)
    refused("InvalidInstanceID.NotFound", ec2.create_image, InstanceId=NONE["instance"], Name=f"{door.stem}/x")
    wrong = [{"ResourceType": "instance", "Tags": tags(a="b")}]
    refused("InvalidParameterValue", ec2.create_image, InstanceId=who, Name=f"{door.stem}/x", TagSpecifications=wrong)
    aws = [{"ResourceType": "image", "Tags": [{"Key": "aws:x", "Value": ""}]}]
    refused("InvalidParameterValue", ec2.create_image, InstanceId=who, Name=f"{door.stem}/x", TagSpecifications=aws)
    many = [{"ResourceType": "image", "Tags": tags(**{f"k{n}": "" for n in range(51)})}]
    refused("TagLimitExceeded", ec2.create_image, InstanceId=who, Name=f"{door.stem}/x", TagSpecifications=many)
    same(door.reboots(who) - before, 1, "what is refused reboots nothing")

    done = door.settled(image)
    same(done["State"], "available", "it becomes available")
    same((done["Name"], done["Description"]), (f"{door.stem}/life", "one & two"), "name and description")
    same(done["OwnerId"], ACCOUNT, "its owner")
    true(done["CreationDate"].endswith("Z"), "its date")
    snapshots = [m["Ebs"]["SnapshotId"] for m in done["BlockDeviceMappings"]]
    same(len(snapshots), len(instance["BlockDeviceMappings"]), "one snapshot per volume")
    listed = ec2.describe_snapshots(OwnerIds=["self"], Filters=flt("snapshot-id", *snapshots))["Snapshots"]
    same({s["SnapshotId"] for s in listed}, set(snapshots), "snapshots by filter")
    for one in listed:
        same(one["State"], "completed", "a snapshot is done when its image is")
        same(as_dict(one["Tags"]), marks, "a snapshot bears the same tags")
    volumes_of = {m["Ebs"]["VolumeId"] for m in instance["BlockDeviceMappings"]}
    same({s["VolumeId"] for s in listed}, volumes_of, "snapshots name their volumes")
    for one in (flt("volume-id", listed[0]["VolumeId"]), flt("tag:stillframe:due", "2026-11-20*")):
        true(ec2.describe_snapshots(OwnerIds=["self"], Filters=one)["Snapshots"], f"snapshots by {one}")

    for one in (
        flt("name", f"{door.stem}/life"),
        flt("name", f"{door.stem}/li?e"),
        flt("source-instance-id", who) + flt("name", f"{door.stem}/*"),
        flt("tag:stillframe:due", "2026-11-20T02:30:00Z") + flt("name", f"{door.stem}/*"),
        flt("state", "available") + flt("image-id", image, NONE["image"]),
    ):
        found = ec2.describe_images(Owners=["self"], Filters=one, IncludeDisabled=True)["Images"]
        same([i["ImageId"] for i in found], [image], f"images by {one}")
    refused("InvalidAMIID.NotFound", ec2.describe_images, ImageIds=[image, NONE["image"]])
    refused("InvalidAMIID.Malformed", ec2.describe_images, ImageIds=["life"])
    return image, snapshots


def paging_of_images(door, running):
    # One of each: a second one would come too soon after the first.
    made = [door.create(one["InstanceId"], f"page-{n}", NoReboot=True) for n, one in enumerate(running[:6])]
    message = refused(
        "SnapshotCreationPerVolumeRateExceeded", door.ec2.create_image, InstanceId=running[0]["InstanceId"], Name=f"{door.stem}/soon"
    )
    true("rate" in message, "why it is refused")
    pages = list(
        door.ec2.get_paginator("describe_images").paginate(
            Owners=["self"], Filters=flt("name", f"{door.stem}/page-*"), PaginationConfig={"PageSize": 5}
        )
    )
    same([len(page["Images"]) for page in pages], [5, 1], "pages of images")
    same({i["ImageId"] for page in pages for i in page["Images"]}, set(made), "all images, each once")
    for image in made:
        door.settled(image)
    refused("InvalidParameterValue", door.ec2.describe_images, Filters=flt("colour", "x"))
    pages = list(door.ec2.get_paginator("describe_snapshots").paginate(OwnerIds=["self"], PaginationConfig={"PageSize": 5}))
    listed = [s["SnapshotId"] for page in pages for s in page["Snapshots"]]
    same(len(set(listed)), len(listed), "no snapshot comes twice")
    true(len(listed) >= len(made), "all snapshots come")
    for image in made:
        ends = door.ec2.deregister_image(ImageId=image, DeleteAssociatedSnapshots=True)["DeleteSnapshotResults"]
        true(ends and all(end["ReturnCode"] == "success" for end in ends), "snapshots go with their image")


def sharing_and_ends(door, image, snapshots):
    ec2 = door.ec2
    mapping = [{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshots[0]}}]
    second = ec2.register_image(
        Name=f"{door.stem}/second", RootDeviceName="/dev/xvda", Architecture="x86_64", BlockDeviceMappings=mapping
    )["ImageId"]
    same(door.image(second)["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"], snapshots[0], "a shared snapshot")
    refused("InvalidSnapshot.InUse", ec2.delete_snapshot, SnapshotId=snapshots[0])

    copied = ec2.copy_image(
        SourceImageId=image,
        SourceRegion=door.region,
        Name=f"{door.stem}/copy",
        ClientToken=door.stem[-32:],
        CopyImageTags=True,
        TagSpecifications=[{"ResourceType": "snapshot", "Tags": tags(of="the copy")}],
    )["ImageId"]
    copy = door.settled(copied)
    same((copy["SourceImageId"], copy["SourceImageRegion"]), (image, door.region), "the copy's source")
    true("SourceInstanceId" not in copy, "a copy has no source instance")
    same(as_dict(copy["Tags"])["stillframe:due"], "2026-11-20T02:30:00Z", "copied tags")
    theirs = [m["Ebs"]["SnapshotId"] for m in copy["BlockDeviceMappings"]]
    true(not set(theirs) & set(snapshots), "a copy has snapshots of its own")
    tagged = ec2.describe_snapshots(SnapshotIds=theirs)["Snapshots"]
    true(all(as_dict(s["Tags"]) == {"of": "the copy"} for s in tagged), "and their own tags")
    refused("InvalidAMIName.Duplicate", ec2.copy_image, SourceImageId=image, SourceRegion=door.region, Name=f"{door.stem}/copy")

    ec2.create_tags(Resources=[image, snapshots[0]], Tags=tags(hold="yes", other="1"))
    same(as_dict(door.image(image)["Tags"])["hold"], "yes", "a new tag")
    ec2.delete_tags(Resources=[image], Tags=[{"Key": "hold"}, {"Key": "other", "Value": "2"}])
    left = as_dict(door.image(image)["Tags"])
    same(("hold" in left, "other" in left), (False, True), "tags go by key, or by key and value")
    refused("InvalidAMIID.NotFound", ec2.create_tags, Resources=[NONE["image"]], Tags=tags(a="b"))

    refused("InvalidAMIID.NotFound", ec2.deregister_image, ImageId=NONE["image"])
    ends = ec2.deregister_image(ImageId=image, DeleteAssociatedSnapshots=True)["DeleteSnapshotResults"]
    want = {snapshot: "success" for snapshot in snapshots} | {snapshots[0]: "skipped"}
    same({end["SnapshotId"]: end["ReturnCode"] for end in ends}, want, "what became of each snapshot")
    refused("InvalidAMIID.Unavailable", ec2.deregister_image, ImageId=image)
    ec2.deregister_image(ImageId=second)
    ec2.delete_snapshot(SnapshotId=snapshots[0])
    refused("InvalidSnapshot.NotFound", ec2.delete_snapshot, SnapshotId=snapshots[0])
    refused("InvalidSnapshot.NotFound", ec2.describe_snapshots, SnapshotIds=snapshots[:1])
    return copied


def life_of_an_instance(door, image):
    ec2 = door.ec2
    specs = [{"ResourceType": "instance", "Tags": tags(Name="boto3")}]
    launched = ec2.run_instances(
        ImageId=image, MinCount=1, MaxCount=1, InstanceType="t3.micro", TagSpecifications=specs
    )["Instances"]
    same(len(launched), 1, "one instance is launched")
    who = launched[0]["InstanceId"]
    same(launched[0]["State"]["Name"], "pending", "it begins pending")
    found = ec2.describe_instances(Filters=flt("image-id", image))["Reservations"]
    same([r["Instances"][0]["InstanceId"] for r in found], [who], "instances of an image")
    until("running", lambda: door.state(who) == "running")

    def status():
        found = ec2.describe_instance_status(InstanceIds=[who], IncludeAllInstances=True)["InstanceStatuses"]
        return found[0]["SystemStatus"]["Status"], found[0]["InstanceStatus"]["Status"]

    until("healthy", lambda: status() == ("ok", "ok"))
    before = door.reboots(who)
    ec2.reboot_instances(InstanceIds=[who])
    same(door.reboots(who) - before, 1, "RebootInstances reboots")
    true(status()[1] in ("initializing", "ok"), "checks after a reboot")
    until("healthy again", lambda: status() == ("ok", "ok"))

    change = ec2.stop_instances(InstanceIds=[who])["StoppingInstances"][0]
    same((change["PreviousState"]["Name"], change["InstanceId"]), ("running", who), "a stop")
    until("stopped", lambda: door.state(who) == "stopped")
    same(status(), ("not-applicable", "not-applicable"), "checks of a stopped instance")
    same(ec2.describe_instance_status(InstanceIds=[who])["InstanceStatuses"], [], "without IncludeAllInstances")
    before = door.reboots(who)
    image_of_stopped = door.create(who, "stopped")
    same(door.reboots(who), before, "a stopped instance does not reboot")
    door.settled(image_of_stopped)
    ec2.deregister_image(ImageId=image_of_stopped, DeleteAssociatedSnapshots=True)
    refused("IncorrectInstanceState", ec2.reboot_instances, InstanceIds=[who])
    change = ec2.start_instances(InstanceIds=[who])["StartingInstances"][0]
    same(change["CurrentState"], {"Code": 0, "Name": "pending"}, "a start")
    until("started", lambda: door.state(who) == "running")
    change = ec2.terminate_instances(InstanceIds=[who])["TerminatingInstances"][0]
    same(change["PreviousState"], {"Code": 16, "Name": "running"}, "a termination")
    message = refused("InvalidParameterValue", ec2.create_image, InstanceId=who, Name=f"{door.stem}/late")
    same(message, "Instance is not in state 'running' or 'stopped'", "the message")
    until("terminated", lambda: door.state(who) == "terminated")
    refused("InvalidInstanceID.NotFound", ec2.describe_instance_status, InstanceIds=[who, NONE["instance"]])
    ec2.deregister_image(ImageId=image, DeleteAssociatedSnapshots=True)


def faults(door, instance):
    ec2, who = door.ec2, instance["InstanceId"]
    same(control(door.endpoint, "health"), b"ok\n", "health")
    plan = [("throttle", False), ("error_before", False), ("error_after", True), ("cut_before", False), ("cut_after", True)]
    for kind, made in plan:
        control(door.endpoint, "faults", [{"api": "CreateImage", "kind": kind}])
        try:
            door.create(who, kind, NoReboot=True)
            raise AssertionError(f"{kind} was not felt")
        except ClientError as error:
            want = ("RequestLimitExceeded", 503) if kind == "throttle" else ("InternalError", 500)
            got = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
            same(got, want, kind)
        except (ConnectionClosedError, HTTPClientError):
            true(kind.startswith("cut"), kind)
        found = ec2.describe_images(Owners=["self"], Filters=flt("name", f"{door.stem}/{kind}"))["Images"]
        same(len(found), int(made), f"{kind}: whether the image was made")
        for one in found:
            door.settled(one["ImageId"])
            ec2.deregister_image(ImageId=one["ImageId"], DeleteAssociatedSnapshots=True)
    counts = json.loads(control(door.endpoint, "trouble"))
    same((counts["profile"], set(counts["injected"])), ("none", {kind for kind, _ in plan}), "what was injected")
    control(door.endpoint, "faults", [{"api": "*", "region": "xx-other-1", "kind": "throttle"}])
    control(door.endpoint, "faults", [{"api": "DescribeImages", "about": NONE["image"], "kind": "throttle"}])
    true(ec2.describe_images(Owners=["self"])["Images"] is not None, "neither its region nor its image")
    refused("RequestLimitExceeded", ec2.describe_images, Filters=flt("image-id", NONE["image"]))
    log = json.loads(control(door.endpoint, "calls?api=CreateImage"))
    mine = [call for call in log if call["parameters"]["Name"] == f"{door.stem}/cut_after"]
    same([(c["result"], c["effect"], c["parameters"]["NoReboot"]) for c in mine], [("cut", True, "true")], "the call log")


def strangers(door):
    other = client("ec2", door.endpoint, door.region, account="999999999999")
    same(other.describe_instances()["Reservations"], [], "another account has no instances")
    refused("AuthFailure", client("ec2", door.endpoint, "xx-nowhere-9").describe_instances)
    refused("InvalidAction", door.ec2.describe_vpcs)
    outpost = {"SourceImageId": NONE["image"], "SourceRegion": door.region, "Name": "xyz", "DestinationOutpostArn": "arn:x"}
    refused("UnknownParameter", door.ec2.copy_image, **outpost)


def main():
    endpoint = sys.argv[1].rstrip("/")
    region = sys.argv[2] if len(sys.argv) > 2 else json.loads(control(endpoint, "world"))["regions"][0]
    door = Door(endpoint, region)
    identity(door)
    running = instances(door)
    volumes(door, running[0])
    image, snapshots = life_of_an_image(door, running[0])
    paging_of_images(door, running)
    copied = sharing_and_ends(door, image, snapshots)
    life_of_an_instance(door, copied)
    faults(door, running[1])
    strangers(door)
    print(f"ok: {checks} checks")


if __name__ == "__main__":
    main()
