"""HTTP itself: connections, routes as data, who asks, errors as problem documents.

- `server`: the listening side and its limits
- `tls`: the certificate as an SSL context
- `route`: a route as data: router, input check and OpenAPI are made from it
- `bodies`: reads request bodies within their limits
- `multipart`: reads a form with files, part by part
- `auth`: who asks, and what they may
- `problems`: from an error to an RFC 9457 document: one table of statuses
- `openapi`: the OpenAPI document
- `files`: sends a job's files, whole or in part
"""
