"""boto3 at the door of the simulated world: roles, keys, permissions and copies between accounts.

Usage: boto3_sharing.py ENDPOINT    (the fleet that the test writes: accounts 111111111111 and 222222222222, the role
`stillframe` in the second, which trusts the first, and the keys alias/backup and alias/theirs)
Exit 0 and `ok: N checks` on stdout, or a traceback that names the check.
"""

import datetime
import json
import sys

from boto3_door import ACCOUNT, NONE, as_dict, client, control, flt, refused, same, tags, true, until
import boto3_door

OTHER = "222222222222"
HOME, AWAY = "eu-central-1", "eu-west-1"
ROLE = f"arn:aws:iam::{OTHER}:role/stillframe"
ORG = "arn:aws:organizations::111111111111:organization/o-abcdefghij"
UNIT = "arn:aws:organizations::111111111111:ou/o-abcdefghij/ou-abcd-12345678"
OPERATIONS = ["Decrypt", "DescribeKey", "CreateGrant", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom", "ReEncryptTo"]


class Two:
    """Both accounts, each with its own credentials."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.ec2, self.kms = client("ec2", endpoint, HOME), client("kms", endpoint, HOME)
        self.sts = client("sts", endpoint, HOME)
        self.session = None

    def theirs(self, service, region=AWAY):
        return client(service, self.endpoint, region, session=self.session)

    def settled(self, ec2, image):
        def probe():
            found = ec2.describe_images(Owners=["self"], Filters=flt("image-id", image))["Images"][0]
            return found if found["State"] != "pending" else None

        return until(f"{image} leaving pending", probe)


def roles(two):
    asked = {"RoleArn": ROLE, "RoleSessionName": "stillframe-test"}
    for wrong in ({}, {"ExternalId": "guessed"}):
        message = refused("AccessDenied", two.sts.assume_role, **asked, **wrong)
        true("sts:AssumeRole" in message and ROLE in message, "what is denied")
    refused("AccessDenied", two.sts.assume_role, RoleArn=ROLE + "x", RoleSessionName="stillframe-test", ExternalId="s3cret")
    answer = two.sts.assume_role(**asked, ExternalId="s3cret")
    two.session = answer["Credentials"]
    left = two.session["Expiration"] - datetime.datetime.now(datetime.timezone.utc)
    true(datetime.timedelta(minutes=55) < left <= datetime.timedelta(hours=1), "a session lasts an hour")
    arn = f"arn:aws:sts::{OTHER}:assumed-role/stillframe/stillframe-test"
    same(answer["AssumedRoleUser"]["Arn"], arn, "who one becomes")
    who = two.theirs("sts").get_caller_identity()
    same((who["Account"], who["Arn"]), (OTHER, arn), "who one is then")
    aged = dict(two.session, SessionToken="simulated/1/s/" + ROLE)
    refused("ExpiredToken", client("sts", two.endpoint, HOME, session=aged).get_caller_identity)
    refused("RequestExpired", client("ec2", two.endpoint, HOME, session=aged).describe_images)
    refused("ExpiredTokenException", client("kms", two.endpoint, HOME, session=aged).describe_key, KeyId="alias/backup")
    refused("UnknownParameter", two.sts.assume_role, **asked, DurationSeconds=900)


def keys(two):
    key = two.kms.describe_key(KeyId="alias/backup")["KeyMetadata"]
    same((key["AWSAccountId"], key["KeyManager"], key["KeyState"]), (ACCOUNT, "CUSTOMER", "Enabled"), "a key")
    same((key["KeySpec"], key["Enabled"]), ("SYMMETRIC_DEFAULT", True), "its kind")
    for name in (key["Arn"], key["KeyId"]):
        same(two.kms.describe_key(KeyId=name)["KeyMetadata"], key, f"the same by {name}")
    same(two.kms.describe_key(KeyId="alias/aws/ebs")["KeyMetadata"]["KeyManager"], "AWS", "the AWS-managed one")
    refused("NotFoundException", two.kms.describe_key, KeyId="alias/nobody")
    policy = json.loads(two.kms.get_key_policy(KeyId=key["KeyId"])["Policy"])
    true(policy["Statement"], "its policy is JSON")
    abroad = two.theirs("kms", HOME)
    message = refused("AccessDeniedException", abroad.describe_key, KeyId=key["Arn"])
    true("kms:DescribeKey" in message and key["Arn"] in message, "what is denied")

    lent = {"KeyId": key["Arn"], "GranteePrincipal": ROLE, "Operations": OPERATIONS, "Name": "stillframe-test-1"}
    grant = two.kms.create_grant(**lent)["GrantId"]
    same(two.kms.create_grant(**lent)["GrantId"], grant, "a grant of the same name and all")
    more = [two.kms.create_grant(**dict(lent, Name=f"more-{n}"))["GrantId"] for n in range(4)]
    pages = list(two.kms.get_paginator("list_grants").paginate(KeyId=key["Arn"], PaginationConfig={"PageSize": 2}))
    found = {one["GrantId"]: one for page in pages for one in page["Grants"]}
    same((len(pages), set(found)), (3, {grant, *more}), "all grants, in pages")
    one = found[grant]
    same((one["Name"], one["GranteePrincipal"], set(one["Operations"])), ("stillframe-test-1", ROLE, set(OPERATIONS)), "a grant")

    def usable():
        try:
            return abroad.describe_key(KeyId=key["Arn"])["KeyMetadata"]["Arn"]
        except abroad.exceptions.ClientError:
            return None

    same(until("the grant works", usable), key["Arn"], "lent")
    for one in more:
        two.kms.revoke_grant(KeyId=key["Arn"], GrantId=one)
    refused("NotFoundException", two.kms.revoke_grant, KeyId=key["Arn"], GrantId=more[0])
    refused("UnknownOperationException", two.kms.list_keys)
    return key["Arn"], grant


def image_of(two):
    found = two.ec2.describe_instances(Filters=flt("tag:Backup", "nightly"))["Reservations"][0]["Instances"][0]
    ids = [mapping["Ebs"]["VolumeId"] for mapping in found["BlockDeviceMappings"]]
    volumes = two.ec2.describe_volumes(VolumeIds=ids)["Volumes"]
    specs = [{"ResourceType": "image", "Tags": tags(ours="alone")}]
    asked = {"InstanceId": found["InstanceId"], "Name": "boto3/sharing", "NoReboot": True, "TagSpecifications": specs}
    image = two.ec2.create_image(**asked)["ImageId"]
    return two.settled(two.ec2, image), {(volume["Encrypted"], volume["KmsKeyId"]) for volume in volumes}


def permissions(two, image, snapshots):
    ec2 = two.ec2

    def launch():
        return ec2.describe_image_attribute(ImageId=image, Attribute="launchPermission")["LaunchPermissions"]

    same(launch(), [], "nobody at first")
    ec2.modify_image_attribute(
        ImageId=image,
        LaunchPermission={"Add": [{"UserId": "333333333333"}, {"OrganizationArn": ORG}, {"OrganizationalUnitArn": UNIT}]},
    )
    want = [{"UserId": "333333333333"}, {"OrganizationArn": ORG}, {"OrganizationalUnitArn": UNIT}]
    same(sorted(map(str, launch())), sorted(map(str, want)), "an account, an organization, a unit")
    ec2.modify_image_attribute(
        ImageId=image, Attribute="launchPermission", OperationType="remove", UserIds=["333333333333"],
        OrganizationArns=[ORG], OrganizationalUnitArns=[UNIT],
    )
    same(launch(), [], "taken back in the older form")
    ec2.modify_image_attribute(ImageId=image, Attribute="launchPermission", OperationType="add", UserIds=[OTHER])
    same(launch(), [{"UserId": OTHER}], "given in the older form")
    refused("InvalidAMIID.NotFound", ec2.describe_image_attribute, ImageId=NONE["image"], Attribute="launchPermission")

    away = two.theirs("ec2", HOME)
    same([i["ImageId"] for i in away.describe_images(ImageIds=[image])["Images"]], [image], "seen where it is shared")
    same([i["ImageId"] for i in away.describe_images(ExecutableUsers=["self"])["Images"]], [image], "as executable")
    same(away.describe_images(Owners=["self"])["Images"], [], "but it is not theirs")
    same(away.describe_images(ImageIds=[image])["Images"][0].get("Tags", []), [], "without our tags")
    refused("AuthFailure", away.modify_image_attribute, ImageId=image, LaunchPermission={"Add": [{"UserId": OTHER}]})

    def volumes(snapshot):
        answer = ec2.describe_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission")
        return answer["CreateVolumePermissions"]

    first, *rest = snapshots
    ec2.modify_snapshot_attribute(
        SnapshotId=first, Attribute="createVolumePermission", OperationType="add", UserIds=[OTHER, "333333333333"]
    )
    ec2.modify_snapshot_attribute(SnapshotId=first, CreateVolumePermission={"Remove": [{"UserId": "333333333333"}]})
    same(volumes(first), [{"UserId": OTHER}], "both forms for snapshots")
    for snapshot in rest:
        ec2.modify_snapshot_attribute(SnapshotId=snapshot, CreateVolumePermission={"Add": [{"UserId": OTHER}]})


def copies(two, image, snapshots, key, grant):
    away = two.theirs("ec2")
    theirs = two.theirs("kms").describe_key(KeyId="alias/theirs")["KeyMetadata"]["Arn"]
    request = {
        "SourceImageId": image, "SourceRegion": HOME, "Name": "boto3/sharing/copy", "ClientToken": "token-1",
        "TagSpecifications": [{"ResourceType": kind, "Tags": tags(of="the copy")} for kind in ("image", "snapshot")],
    }
    refused("DryRunOperation", away.copy_image, **request, Encrypted=True, KmsKeyId="alias/theirs", DryRun=True)
    copy = away.copy_image(**request, Encrypted=True, KmsKeyId="alias/theirs")["ImageId"]
    same(away.copy_image(**request, Encrypted=True, KmsKeyId="alias/theirs")["ImageId"], copy, "a token makes one copy")
    refused("IdempotentParameterMismatch", away.copy_image, **request, Encrypted=True, KmsKeyId=theirs)
    found = two.settled(away, copy)
    same((found["State"], found["OwnerId"], found["SourceImageId"]), ("available", OTHER, image), "the copy")
    same((found["SourceImageRegion"], as_dict(found["Tags"])), (HOME, {"of": "the copy"}), "whence, and its tags")
    ids = [mapping["Ebs"]["SnapshotId"] for mapping in found["BlockDeviceMappings"]]
    for one in away.describe_snapshots(OwnerIds=["self"], Filters=flt("snapshot-id", *ids))["Snapshots"]:
        same((one["Encrypted"], one["KmsKeyId"]), (True, theirs), "a snapshot of the copy")
        same(as_dict(one["Tags"]), {"of": "the copy"}, "and its tags")
    refused("AuthFailure", client("ec2", two.endpoint, "xx-nowhere-9").describe_images)

    two.kms.revoke_grant(KeyId=key, GrantId=grant)
    for snapshot in snapshots:
        two.ec2.modify_snapshot_attribute(SnapshotId=snapshot, CreateVolumePermission={"Remove": [{"UserId": OTHER}]})
    two.ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Remove": [{"UserId": OTHER}]})
    refused("InvalidAMIID.NotFound", two.theirs("ec2", HOME).describe_images, ImageIds=[image])
    same(two.settled(away, copy)["State"], "available", "the copy does without what was lent")


def settings(two, image):
    same(two.ec2.get_ebs_default_kms_key_id()["KmsKeyId"], "alias/aws/ebs", "the default key")
    same(two.ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"], False, "encryption by default")
    same(two.ec2.get_allowed_images_settings()["State"], "disabled", "Allowed AMIs")
    allowed = two.theirs("ec2", HOME).get_allowed_images_settings()
    providers = [one["ImageProviders"] for one in allowed["ImageCriteria"]]
    same((allowed["State"], providers), ("enabled", [["111111111111", "amazon"]]), "theirs")
    at = datetime.datetime.now(datetime.timezone.utc).replace(second=0, microsecond=0) + datetime.timedelta(days=7)
    two.ec2.enable_image_deprecation(ImageId=image, DeprecateAt=at)
    found = two.ec2.describe_images(ImageIds=[image])["Images"][0]["DeprecationTime"]
    same(found, at.strftime("%Y-%m-%dT%H:%M:%S.000Z"), "a deprecation")
    refused("InvalidParameterValue", two.ec2.enable_image_deprecation, ImageId=image, DeprecateAt=at - datetime.timedelta(days=8))


def main():
    two = Two(sys.argv[1].rstrip("/"))
    roles(two)
    key, grant = keys(two)
    image, encryption = image_of(two)
    same(encryption, {(True, key)}, "volumes under the key")
    snapshots = [mapping["Ebs"]["SnapshotId"] for mapping in image["BlockDeviceMappings"]]
    permissions(two, image["ImageId"], snapshots)
    copies(two, image["ImageId"], snapshots, key, grant)
    settings(two, image["ImageId"])
    log = control(two.endpoint, "calls?api=AssumeRole").decode()
    true("stillframe-test" in log and "s3cret" not in log, "the log of calls shows no external id")
    print(f"ok: {boto3_door.checks} checks")


if __name__ == "__main__":
    main()
