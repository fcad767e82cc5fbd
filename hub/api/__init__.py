"""The reading API of the hub: HTTPS, bearer tokens with scopes, OpenAPI (docs/hub-api.md)."""
