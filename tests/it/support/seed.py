"""Runs instances of two volumes each: ENDPOINT REGION KEY VALUE TAGGED UNTAGGED; prints their ids."""

import json
import sys

import boto3

endpoint, region, key, value, tagged, untagged = sys.argv[1:]
ec2 = boto3.client(
    "ec2", endpoint_url=endpoint, region_name=region, aws_access_key_id="testing", aws_secret_access_key="testing"
)


def run(count, tags):
    if count == 0:
        return []
    disk = {"VolumeSize": 8, "VolumeType": "gp3", "DeleteOnTermination": True}
    answer = ec2.run_instances(
        ImageId="ami-00000000000000001",
        InstanceType="t3.micro",
        MinCount=count,
        MaxCount=count,
        BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": disk}, {"DeviceName": "/dev/sdf", "Ebs": disk}],
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}] if tags else [],
    )
    return [instance["InstanceId"] for instance in answer["Instances"]]


print(json.dumps({"tagged": run(int(tagged), [{"Key": key, "Value": value}]), "untagged": run(int(untagged), [])}))
