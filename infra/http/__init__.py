"""A small HTTP kit: routes that are denied unless they say who may call them."""

from infra.http.app import App, Limits
from infra.http.auth import Authenticator, Principal
from infra.http.errors import HttpError
from infra.http.openapi import openapi
from infra.http.request import Request
from infra.http.response import Response, json_response
from infra.http.routing import Route

__all__ = [
    "App",
    "Authenticator",
    "HttpError",
    "Limits",
    "Principal",
    "Request",
    "Response",
    "Route",
    "json_response",
    "openapi",
]
