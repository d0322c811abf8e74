"""Every function in the Lambda runtime, by `sam local`, on a local run's exchange, queue and tables.

What is real: the built application (functions and layers as they are deployed, for x86_64), python3.13 in the Lambda
image, API Gateway's routing and events as SAM makes them, DynamoDB Local where it is at hand. What stands in: the
simulated exchange, MiniStack for SQS and KMS, and a small authorizer for Cognito's, which `sam local` has not.

``make test-sam`` builds and runs this; it is no part of ``make test``, because it needs a Docker engine.
"""
