"""HTTP itself: connections, routes as data, authentication, errors as problem documents.

- `server`: listens for connections, and limits how many are open
- `tls`: loads the certificate as an SSL context, and computes its fingerprint
- `route`: describes a route as data; router, input check and OpenAPI document are made from it
- `bodies`: reads and decodes request bodies within their limits
- `multipart`: reads a form with files, part by part
- `auth`: identifies the client of a request, and checks its scopes
- `problems`: turns an error into an RFC 9457 document, by one table of statuses
- `openapi`: builds the OpenAPI document
- `files`: sends a file of a job, whole or in part
"""
