"""Idempotency keys: a POST that is sent again with the same key is answered as it was the first time.

This is for the line between client and API only. What keeps an order from being sent twice is its intent.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyInconsistentStateError,
    IdempotencyPersistenceLayerError,
)
from aws_lambda_powertools.utilities.idempotency.serialization.pydantic import PydanticSerializer
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel

from botbalance.engine.durations import DAY_S
from botbalance.errors import ConflictError, TransientError
from botbalance.store.dynamodb import STORAGE_UNAVAILABLE

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEPT_S = DAY_S
"""For so long an answer is kept for whoever asks again."""


class IdempotencyKeys:
    """Answers by user and key, in the cache table: one that is lost means that a request is carried out anew."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._answers = DynamoDBPersistenceLayer(
            table_name=table, key_attr="key", expiry_attr="expires_at", boto3_client=client
        )

    def run_once[M: BaseModel](
        self, user_id: str, key: str, answer: type[M], work: Callable[[], M], context: LambdaContext
    ) -> M:
        """What ``work`` answers, or what it has answered the user to this key before.

        An error is kept for nobody: the next request with the key tries again. Raises ConflictError while another
        request
        with it is being worked on, and TransientError where the answers cannot be reached: before the work, or after
        it, when what was done shows in the orders.
        """
        config = IdempotencyConfig(expires_after_seconds=KEPT_S, lambda_context=context)

        @idempotent_function(  # type: ignore[untyped-decorator]
            data_keyword_argument="request",
            persistence_store=self._answers,
            config=config,
            output_serializer=PydanticSerializer(answer),
            key_prefix="idempotency",
        )
        def answered(*, request: dict[str, str]) -> M:
            return work()

        try:
            found: M = answered(request={"user_id": user_id, "key": key})
        except IdempotencyAlreadyInProgressError as error:
            raise ConflictError(
                "request_in_progress", "a request with this Idempotency-Key is being worked on"
            ) from error
        except (IdempotencyPersistenceLayerError, IdempotencyInconsistentStateError) as error:
            raise TransientError(
                STORAGE_UNAVAILABLE, "the answers by Idempotency-Key cannot be reached; look at your orders first"
            ) from error
        return found
