"""A key service within one process, in place of KMS's."""

import base64
import json
from hashlib import sha256
from typing import Any

from botocore.exceptions import ClientError


class InMemoryKeyService:
    """As much of boto3's KMS client as keys are stored with: it binds what it encrypts to its context, as KMS does.

    It hides nothing: the keys that come here are nobody's.
    """

    def encrypt(self, *, Plaintext: bytes, EncryptionContext: dict[str, str], **_: Any) -> dict[str, Any]:  # noqa: N803
        """KMS's Encrypt."""
        text = json.dumps([EncryptionContext, base64.b64encode(Plaintext).decode()])
        return {"CiphertextBlob": text.encode()}

    def generate_data_key(self, *, EncryptionContext: dict[str, str], **more: Any) -> dict[str, Any]:  # noqa: N803
        """KMS's GenerateDataKey: always the same key for a context."""
        data_key = sha256(repr(EncryptionContext).encode()).digest()
        return {"Plaintext": data_key, **self.encrypt(Plaintext=data_key, EncryptionContext=EncryptionContext, **more)}

    def decrypt(self, *, CiphertextBlob: bytes, EncryptionContext: dict[str, str], **_: Any) -> dict[str, Any]:  # noqa: N803
        """KMS's Decrypt."""
        context, text = json.loads(CiphertextBlob)
        if context != EncryptionContext:
            raise ClientError({"Error": {"Code": "InvalidCiphertextException", "Message": ""}}, "Decrypt")
        return {"Plaintext": base64.b64decode(text)}

    def close(self) -> None:
        """Nothing is open."""
