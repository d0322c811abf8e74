"""Signs a user of a deployed API in, without keys of an AWS account."""

import boto3
from botbalance.errors import InvalidRequestError, TransientError
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError


def id_token(client_id: str, region: str, username: str, password: str, endpoint: str | None) -> str:
    """The ID token that the user pool's client gives for a password; it lasts an hour.

    Raises InvalidRequestError where it is refused, TransientError where Cognito does not answer.
    """
    try:
        client = boto3.client(
            "cognito-idp", region_name=region, endpoint_url=endpoint, config=Config(signature_version=UNSIGNED)
        )
        answer = client.initiate_auth(
            ClientId=client_id,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": username, "PASSWORD": password},
        )
    except ClientError as error:
        raise InvalidRequestError("sign_in_refused", error.response["Error"]["Message"]) from None
    except (BotoCoreError, ValueError):
        raise TransientError("sign_in_unreachable", f"Cognito does not answer in --region {region}") from None
    result = answer.get("AuthenticationResult")
    if result is None:
        challenge = answer.get("ChallengeName", "something more")
        raise InvalidRequestError(
            "sign_in_challenged", f"the user pool asks for {challenge}: sign in on its page once, then try again"
        )
    return str(result["IdToken"])
