"""boto3 1.34.162: CloudWatch over the Query protocol, Content-MD5 instead of checksums, legacy retries.

Arguments: the file for the answers, the photos' folder, the location of a model.tar.gz.
"""

import datetime
import hashlib
import json
import sys
import urllib.request
from pathlib import Path

import boto3
from boto3.s3.transfer import TransferConfig
from steps import step

data, artifact = Path(sys.argv[2]), sys.argv[3]
s3, cloudwatch, sagemaker = boto3.client("s3"), boto3.client("cloudwatch"), boto3.client("sagemaker")
logs, iam, sts = boto3.client("logs"), boto3.client("iam"), boto3.client("sts")
BUCKET, LARGE = "of-an-old-boto3", 9 * 1024 * 1024
IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:1"
ROLE = "arn:aws:iam::000000000000:role/service-role/AmazonSageMaker-ExecutionRole-darkroom"
PHOTO = (data / "test.jpg").read_bytes()


@step
def who_am_i():
    role = sts.get_caller_identity()["Arn"].split("/")[-2]
    return iam.get_role(RoleName=role)["Role"]["Arn"]


@step
def bucket():
    s3.create_bucket(Bucket=BUCKET)
    return [found["Name"] for found in s3.list_buckets()["Buckets"]]


@step
def put_and_get():
    put = s3.put_object(Bucket=BUCKET, Key="a key/with +&é.jpg", Body=PHOTO, Metadata={"camera": "old"})
    got = s3.get_object(Bucket=BUCKET, Key="a key/with +&é.jpg")
    body = got["Body"].read()
    return {
        "etag": put["ETag"].strip('"') == hashlib.md5(PHOTO).hexdigest(),
        "same": body == PHOTO,
        "metadata": got["Metadata"],
        "head": s3.head_object(Bucket=BUCKET, Key="a key/with +&é.jpg")["ContentLength"] == len(PHOTO),
    }


@step
def multipart_and_ranges():
    path = Path("large.bin")
    path.write_bytes(bytes(range(256)) * (LARGE // 256))
    config = TransferConfig(multipart_chunksize=5 * 1024 * 1024)
    s3.upload_file(str(path), BUCKET, "large.bin", Config=config)
    s3.download_file(BUCKET, "large.bin", "back.bin", Config=config)
    part = s3.get_object(Bucket=BUCKET, Key="large.bin", Range="bytes=255-257")
    return {
        "same": Path("back.bin").read_bytes() == path.read_bytes(),
        "etag": s3.head_object(Bucket=BUCKET, Key="large.bin")["ETag"],
        "range": [list(part["Body"].read()), part["ContentRange"]],
    }


@step
def copy_and_delete():
    s3.copy({"Bucket": BUCKET, "Key": "large.bin"}, BUCKET, "copies/large.bin")
    s3.copy_object(Bucket=BUCKET, Key="copies/photo.jpg", CopySource={"Bucket": BUCKET, "Key": "a key/with +&é.jpg"})
    listed = [o["Key"] for o in s3.list_objects_v2(Bucket=BUCKET, Prefix="copies/")["Contents"]]
    folders = s3.list_objects(Bucket=BUCKET, Delimiter="/")
    gone = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in listed]})["Deleted"]
    return {
        "listed": listed,
        "folders": [p["Prefix"] for p in folders["CommonPrefixes"]],
        "top": [o["Key"] for o in folders["Contents"]],
        "gone": sorted(d["Key"] for d in gone),
        "left": s3.list_objects_v2(Bucket=BUCKET, Prefix="copies/")["KeyCount"],
    }


@step
def every_page_of_a_listing():
    for k in range(5):
        s3.put_object(Bucket=BUCKET, Key=f"pages/{k}", Body=b"x")
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=BUCKET, Prefix="pages/", PaginationConfig={"PageSize": 2}
    )
    return [[o["Key"] for o in page["Contents"]] for page in pages]


@step
def a_presigned_link():
    url = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "pages/1"})
    with urllib.request.urlopen(url) as answer:
        return answer.read().decode()


@step
def a_key_that_is_not_there():
    s3.get_object(Bucket=BUCKET, Key="nothing")


@step
def metrics():
    now = datetime.datetime.now(datetime.UTC)
    dimensions = [{"Name": "job", "Value": "old"}]
    cloudwatch.put_metric_data(
        Namespace="Old",
        MetricData=[{"MetricName": "m", "Dimensions": dimensions, "Value": v, "Timestamp": now} for v in (1.0, 3.0)],
    )
    asked = {"StartTime": now - datetime.timedelta(minutes=5), "EndTime": now + datetime.timedelta(minutes=5)}
    points = cloudwatch.get_metric_statistics(
        Namespace="Old", MetricName="m", Dimensions=dimensions, Period=60, Statistics=["Average", "Maximum"], **asked
    )["Datapoints"]
    stat = {"Metric": {"Namespace": "Old", "MetricName": "m", "Dimensions": dimensions}, "Period": 60, "Stat": "Sum"}
    series = cloudwatch.get_metric_data(MetricDataQueries=[{"Id": "q", "MetricStat": stat}], **asked)
    listed = cloudwatch.list_metrics(Namespace="Old")["Metrics"]
    return {
        "statistics": [[p["Average"], p["Maximum"], p["Unit"]] for p in points],
        "data": series["MetricDataResults"][0]["Values"],
        "listed": [[m["MetricName"], m["Dimensions"]] for m in listed],
    }


@step
def a_period_that_is_refused():
    now = datetime.datetime.now(datetime.UTC)
    asked = {"StartTime": now - datetime.timedelta(minutes=5), "EndTime": now}
    cloudwatch.get_metric_statistics(Namespace="Old", MetricName="m", Period=7, Statistics=["Average"], **asked)


def channel(name):
    s3.upload_file(str(data / f"{name}.rec"), BUCKET, f"{name}/{name}.rec")
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{name}/"}
    return {"ChannelName": name, "ContentType": "application/x-recordio", "DataSource": {"S3DataSource": source}}


@step
def waiters():
    sagemaker.create_training_job(
        TrainingJobName="by-an-old-boto3",
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        RoleArn=ROLE,
        InputDataConfig=[channel("train"), channel("validation")],
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/"},
        ResourceConfig={"InstanceType": "ml.p3.2xlarge", "InstanceCount": 1, "VolumeSizeInGB": 50},
        StoppingCondition={"MaxRuntimeInSeconds": 3600},
        HyperParameters={"num_layers": "19"},
    )
    try:
        sagemaker.get_waiter("training_job_completed_or_stopped").wait(
            TrainingJobName="by-an-old-boto3", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )
        failed = ""
    except Exception as error:
        failed = str(error)
    container = {"Image": IMAGE, "ModelDataUrl": artifact}
    sagemaker.create_model(ModelName="old", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    variant = {"VariantName": "v", "ModelName": "old", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(EndpointConfigName="old", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="old", EndpointConfigName="old")
    patience = {"Delay": 1, "MaxAttempts": 60}
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="old", WaiterConfig=patience)
    answer = boto3.client("sagemaker-runtime").invoke_endpoint(EndpointName="old", Body=PHOTO, ContentType="image/jpeg")
    found = json.loads(answer["Body"].read())
    sagemaker.delete_endpoint(EndpointName="old")
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="old", WaiterConfig=patience)
    return {"failed": failed, "answer": found, "status": answer["ResponseMetadata"]["HTTPStatusCode"]}


@step
def logs_of_a_job():
    group = "/aws/sagemaker/TrainingJobs"
    found = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="by-an-old-boto3/")["logStreams"]
    events = logs.get_log_events(logGroupName=group, logStreamName=found[0]["logStreamName"], startFromHead=True)
    return [event["message"] for event in events["events"]]


@step
def an_operation_that_is_not_offered():
    sagemaker.list_notebook_instances()
