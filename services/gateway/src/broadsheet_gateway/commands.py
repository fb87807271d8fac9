"""The gateway's commands, with the service's own settings: users, recovery, API keys, and
the check of the audit log.

Exit status: 0 done, or nothing to do; 1 refused, with the reason on standard error; 2 wrong usage or settings.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy.exc
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_common.process.database import create_engine, is_database_unavailable
from broadsheet_common.process.settings import SettingsError, exit_with_settings_error, load_settings
from broadsheet_gateway.access.rights import Grant
from broadsheet_gateway.accounts.create_user import (
    AddressTaken,
    PasswordRefused,
    UserCreated,
    UserExists,
    create_user,
)
from broadsheet_gateway.api_keys.api_key import ApiKeyText, parse_scopes
from broadsheet_gateway.api_keys.create_api_key import KeyExists, KeyStored, NoSuchUser, PrefixTaken, create_api_key
from broadsheet_gateway.audit.chain_end import Head
from broadsheet_gateway.audit.verify_chain import Broken, Intact, verify_chain
from broadsheet_gateway.recovery.recover import (
    Recovered,
    RecoveryRefused,
    UserUnknown,
    make_owner,
    reset_password,
    reset_second_factor,
    set_email,
)
from broadsheet_gateway.settings import GatewaySettings

NAME_MAX_LENGTH = 100


class CommandError(Exception):
    """The command cannot do what was asked; the text says why."""


def run_command(arguments: Sequence[str]) -> int:
    """The exit status. Wrong usage ends the process with status 2, as argparse does."""
    options = _parser().parse_args(arguments)
    try:
        settings = load_settings(GatewaySettings, os.environ)
    except SettingsError as error:
        exit_with_settings_error("gateway", error)
    try:
        asyncio.run(_run(options, settings))
    except CommandError as error:
        sys.stderr.write(f"gateway: {error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="broadsheet-gateway", description="Without a command: serve.")
    commands = parser.add_subparsers(dest="command", required=True)
    user = commands.add_parser("create-user", help="create a user who may log in")
    user.add_argument("--username", type=_name, required=True)
    user.add_argument("--password-file", type=Path, required=True, help="a file that contains only the password")
    user.add_argument(
        "--role",
        action="append",
        type=_role,
        metavar="ROLE[:NEWSLETTER_ID]",
        help="owner, editor, publisher, analyst or support, for one newsletter or for all; may be repeated "
        "(default: owner)",
    )
    user.add_argument("--email", type=_address, metavar="ADDRESS", help="the user's e-mail address")
    user.add_argument(
        "--if-missing", action="store_true", help="if the user exists, change nothing and report no error"
    )
    reset = commands.add_parser("reset-password", help="set a user's password, and end the user's sessions")
    reset.add_argument("--username", type=_name, required=True)
    reset.add_argument("--password-file", type=Path, required=True, help="a file that contains only the password")
    email = commands.add_parser("set-email", help="set a user's e-mail address")
    email.add_argument("username", type=_name, metavar="USER")
    email.add_argument("email", type=_address, metavar="ADDRESS")
    owner = commands.add_parser("grant-owner", help="make a user an owner of the whole installation")
    owner.add_argument("--username", type=_name, required=True)
    owner.add_argument("--reactivate", action="store_true", help="also if the user is deactivated")
    factor = commands.add_parser("reset-second-factor", help="remove a user's second factor and recovery codes")
    factor.add_argument("--username", type=_name, required=True)
    key = commands.add_parser("create-api-key", help="create an API key, or store a given one")
    key.add_argument("--name", type=_name, required=True, help="the key's name, unique for its user")
    key.add_argument("--username", type=_name, required=True, help="the user whose key it is")
    key.add_argument(
        "--scopes",
        type=parse_scopes,
        required=True,
        help="all, read, write, admin, or permissions as in issues:publish",
    )
    key.add_argument(
        "--secret-file",
        type=Path,
        help="store the key in this file under that name, replacing any other; without it a new key is printed",
    )
    verify = commands.add_parser("verify-audit", help="verify the audit log: 1 if an entry is missing or altered")
    verify.add_argument("--from", dest="from_number", type=_number, default=1, help="begin at this entry")
    verify.add_argument(
        "--known",
        type=_known,
        help="<number>:<hash> of an entry as it was exported, streamed or printed by this command before: shows "
        "whether the log's end was cut off since, or all of it made anew",
    )
    return parser


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 2**63:
        raise argparse.ArgumentTypeError("expected the number of an entry")
    return int(text)


def _known(text: str) -> Head:
    try:
        return Head.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _name(text: str) -> str:
    if not text.strip() or len(text) > NAME_MAX_LENGTH or not text.isprintable():
        raise argparse.ArgumentTypeError(f"expected 1 to {NAME_MAX_LENGTH} printable characters")
    return text


def _address(text: str) -> EmailAddress:
    try:
        return EmailAddress.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _role(text: str) -> Grant:
    try:
        return Grant.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


async def _run(options: argparse.Namespace, settings: GatewaySettings) -> None:
    engine = create_engine(
        settings.database_url,
        application_name="broadsheet-gateway-command",
        pool_size=1,
        timeout_s=settings.database_timeout_s,
    )
    try:
        match options.command:
            case "create-user":
                await _create_user(options, settings, engine)
            case "reset-password":
                await _reset_password(options, engine)
            case "set-email":
                await _set_email(options, engine)
            case "grant-owner":
                await _grant_owner(options, engine)
            case "reset-second-factor":
                await _reset_second_factor(options, engine)
            case "create-api-key":
                await _create_api_key(options, engine)
            case _:
                await _verify_audit(options, engine)
    except (sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError) as error:
        if isinstance(error, sqlalchemy.exc.SQLAlchemyError) and not is_database_unavailable(error):
            raise
        raise CommandError(f"the database does not answer ({type(error).__name__})") from error
    finally:
        await engine.dispose()


def _read_secret(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"cannot read {path}: {error}") from error


async def _create_user(options: argparse.Namespace, settings: GatewaySettings, engine: AsyncEngine) -> None:
    result = await create_user(
        username=options.username,
        password=_read_secret(options.password_file),
        may_use_default_password=settings.is_local,
        engine=engine,
        grants=options.role or (Grant("owner"),),
        email=options.email,
    )
    match result:
        case UserCreated():
            sys.stderr.write(f"gateway: the user {options.username} was created\n")
        case UserExists() if options.if_missing:
            sys.stderr.write(f"gateway: the user {options.username} exists already\n")
        case UserExists():
            raise CommandError(f"the user {options.username} exists already")
        case AddressTaken():
            raise CommandError(f"another user has the address {options.email}")
        case PasswordRefused(reason):
            raise CommandError(reason)


async def _reset_password(options: argparse.Namespace, engine: AsyncEngine) -> None:
    password = _read_secret(options.password_file)
    result = await reset_password(username=options.username, password=password, engine=engine)
    _check_recovered(result, options.username)
    sys.stderr.write(f"gateway: the password of {options.username} is set\n")


async def _set_email(options: argparse.Namespace, engine: AsyncEngine) -> None:
    result = await set_email(username=options.username, address=options.email, engine=engine)
    changed = _check_recovered(result, options.username)
    sys.stderr.write(f"gateway: {options.username} has the address {options.email}{'' if changed else ' already'}\n")


async def _grant_owner(options: argparse.Namespace, engine: AsyncEngine) -> None:
    result = await make_owner(username=options.username, may_reactivate=options.reactivate, engine=engine)
    changed = _check_recovered(result, options.username)
    sys.stderr.write(f"gateway: {options.username} is an owner{'' if changed else ' already'}\n")


async def _reset_second_factor(options: argparse.Namespace, engine: AsyncEngine) -> None:
    changed = _check_recovered(await reset_second_factor(username=options.username, engine=engine), options.username)
    said = "the second factor is removed" if changed else "there was no second factor"
    sys.stderr.write(f"gateway: {options.username}: {said}\n")


def _check_recovered(result: Recovered | UserUnknown | RecoveryRefused, username: str) -> bool:
    """Whether anything was changed. Raises `CommandError` if it could not be."""
    match result:
        case Recovered(changed):
            return changed
        case UserUnknown():
            raise CommandError(f"there is no user {username}")
        case RecoveryRefused(reason):
            raise CommandError(reason)


async def _create_api_key(options: argparse.Namespace, engine: AsyncEngine) -> None:
    given: ApiKeyText | None = None
    if options.secret_file is not None:
        try:
            given = ApiKeyText.parse(_read_secret(options.secret_file))
        except ValueError as error:
            raise CommandError(f"{options.secret_file}: {error}") from error
    result = await create_api_key(
        username=options.username, name=options.name, scopes=options.scopes, given=given, engine=engine
    )
    match result:
        case KeyStored(key) if given is None:
            sys.stdout.write(f"{key.text}\n")
            sys.stderr.write("gateway: the key is shown only this once\n")
        case KeyStored():
            sys.stderr.write(f"gateway: the key {options.name} is stored\n")
        case KeyExists():
            raise CommandError(
                f"{options.username} has a key named {options.name} already, which cannot be shown again; "
                "choose another name, or replace the key with --secret-file"
            )
        case NoSuchUser():
            raise CommandError(f"there is no user {options.username}")
        case PrefixTaken():
            raise CommandError("another key has the same visible prefix; generate a new key")


async def _verify_audit(options: argparse.Namespace, engine: AsyncEngine) -> None:
    result = await verify_chain(engine, from_number=options.from_number, known=options.known)
    match result:
        case Intact(verified, end, waiting):
            sys.stdout.write(f"{end}\n")
            sys.stderr.write(
                f"gateway: {verified} audit entries are intact; {waiting} are not chained yet. "
                "Keep the line on standard output elsewhere, for --known\n"
            )
        case Broken(number, fault):
            raise CommandError(f"audit entry {number}: {fault}")
