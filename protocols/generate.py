#!/usr/bin/env python3
"""Make C from a protocol schema: accessors, encoders, descriptor tables, fuzz seeds.

usage: generate.py SCHEMA HEADER.h TABLES.c SEEDS.txt

docs/schemas.md describes the format of the schema and what comes out. Seeds go to a folder
beside SEEDS.txt, one file a message: schema id, then a sound message; SEEDS.txt lists them.
Output depends on the schema alone. A mistake is reported as FILE:LINE: what is wrong.
"""
import os
import re
import shlex
import sys

INTEGER = re.compile(r"([ui])(8|16|32|48|64)$")
TEXT = re.compile(r"(ascii|bytes)(\d+)$")
TIMES = {
    "ns_midnight": "NS_MIDNIGHT",
    "s_midnight": "S_MIDNIGHT",
    "ns_epoch": "NS_EPOCH",
    "s_epoch": "S_EPOCH",
    "days_epoch": "DAYS_EPOCH",
}
ROLES = ("type", "size", "block_length", "version", "count", "time", "symbol", "instrument",
         "sequence")
AUTOMATIC = ("type", "size", "block_length", "version")  # the encoder knows their values
FIELD_ATTRIBUTES = {"at", "decimals", "time", "enum", "flags", "null", "since", "const", "role",
                    "exponent", "wire"}


class SchemaError(Exception):
    pass


class Field:
    def __init__(self, name, kind, size, signed, offset, attributes):
        self.name, self.kind, self.size, self.signed = name, kind, size, signed
        self.offset, self.attributes = offset, attributes
        self.role = attributes.get("role")
        self.since = int(attributes.get("since", 0))
        self.on_wire = attributes.get("wire", "yes") == "yes"
        self.constant = attributes.get("const")
        self.exponent_offset = 0

    @property
    def end(self):
        return self.offset + (self.size if self.on_wire else 0)

    @property
    def is_text(self):
        return self.kind in ("ASCII", "BYTES")

    @property
    def automatic(self):
        return self.role in AUTOMATIC or self.constant is not None


class Block:
    """Fields one after another: a header, a root block, a group entry."""

    def __init__(self, name, start=0):
        self.name, self.fields, self.position, self.start = name, [], start, start
        self.length = None  # stated; else the end of the last field
        self.since = 0

    def end(self):
        return self.position if self.length is None else self.start + self.length


class Message(Block):
    def __init__(self, type_, name, title, section, start):
        super().__init__(name, start)
        self.type, self.title, self.section = type_, title, section
        self.groups = []


class Group(Block):
    def __init__(self, name, dimension):
        super().__init__(name)
        self.dimension = dimension


class Schema:
    """The parsed file."""

    def __init__(self, path):
        self.path, self.line = path, 0
        self.attributes = {}
        self.texts = {"title": None, "session": None, "timezone": None}
        self.session_field, self.session_values = None, []
        self.types, self.enums, self.flags = {}, {}, {}
        self.composites, self.dimensions = {}, {}
        self.header = Block("header")
        self.messages = []
        self.section = ""
        try:
            with open(path, encoding="utf-8") as stream:
                self.parse(stream)
            self.check()
        except (SchemaError, ValueError, KeyError) as error:
            raise SystemExit(f"{path}:{self.line}: {error}") from error

    # Reading ------------------------------------------------------------

    def parse(self, stream):
        outer = inner = None
        for self.line, text in enumerate(stream, 1):
            body = text.rstrip("\n").lstrip("\t")
            depth = len(text.rstrip("\n")) - len(body)
            words = shlex.split(body, comments=True)
            if not words:
                continue
            if depth == 0:
                outer, inner = self.statement(words), None
            elif depth == 1 and outer is not None:
                inner = self.member(outer, words)
            elif depth == 2 and isinstance(inner, Group):
                self.add_field(inner, words)
            else:
                raise SchemaError("indented by tabs under nothing that takes it")

    def statement(self, words):
        keyword, rest = words[0], words[1:]
        plain, attributes = split(rest)
        if keyword == "schema":
            self.name, = plain
            self.prefix = self.name.replace("-", "_")
            allowed(attributes, {"id", "order", "version"})
            self.id = int(attributes["id"])
            self.version = int(attributes.get("version", 0))
            if attributes["order"] not in ("big", "little"):
                raise SchemaError("order is big or little")
            self.order = "be" if attributes["order"] == "big" else "le"
        elif keyword == "session":
            self.texts["session"] = plain[0]
            for key, value in attributes.items():
                self.session_field = key
                self.session_values = [int(v, 0) for v in value.split(",")]
        elif keyword in self.texts:
            self.texts[keyword], = plain
        elif keyword == "section":
            self.section, = plain
        elif keyword == "type":
            if plain[0] in self.types:
                raise SchemaError(f"type {plain[0]} is there already")
            self.types[plain[0]] = (plain[1], attributes)
        elif keyword == "enum":
            if plain[1] not in ("char", "int"):
                raise SchemaError("an enum is of char or int")
            return self.enums.setdefault(plain[0], (plain[1], []))
        elif keyword == "flags":
            return self.flags.setdefault(plain[0], ("bits", []))
        elif keyword == "composite":
            return self.composites.setdefault(plain[0], [])
        elif keyword == "dimension":
            return self.dimensions.setdefault(plain[0], Block(plain[0]))
        elif keyword == "header":
            return self.header
        elif keyword == "message":
            allowed(attributes, {"block"})
            if len(plain) == 2:  # a packet header: no type selects it
                plain.insert(0, "0")
            message = Message(*plain, self.section, self.header.end())
            if "block" in attributes:
                message.length = int(attributes["block"])
            self.messages.append(message)
            return message
        else:
            raise SchemaError(f"no statement is called '{keyword}'")
        return None

    def member(self, outer, words):
        if isinstance(outer, tuple):
            value, name = words
            if outer[0] == "char" and len(value) != 1:
                raise SchemaError(f"'{value}' is not one character")
            outer[1].append((ord(value) if outer[0] == "char" else int(value, 0), name))
        elif isinstance(outer, list):
            outer.append(words)
        elif words[0] == "group":
            plain, attributes = split(words[1:])
            allowed(attributes, {"dimension", "block", "since"})
            if not isinstance(outer, Message):
                raise SchemaError("groups stand in messages")
            group = Group(plain[0], self.dimensions[attributes["dimension"]])
            group.length = int(attributes["block"])
            group.since = int(attributes.get("since", 0))
            outer.groups.append(group)
            return group
        else:
            self.add_field(outer, words)
        return None

    def add_field(self, block, words):
        if words[0] == "pad":
            block.position += int(words[1])
            return
        plain, attributes = split(words)
        if len(plain) != 2:
            raise SchemaError(f"expected: name type [attribute=value ...], not '{' '.join(words)}'")
        name, type_ = plain
        if type_ in self.composites:
            for part in self.composites[type_]:
                rest = [re.sub(r"^exponent=", f"exponent={name}_", word) for word in part[1:]]
                self.add_field(block, [f"{name}_{part[0]}", *rest,
                                       *(f"{k}={v}" for k, v in attributes.items())])
            return
        while type_ in self.types:
            type_, inherited = self.types[type_]
            attributes = {**inherited, **attributes}
        allowed(attributes, FIELD_ATTRIBUTES)
        if any(f.name == name for f in block.fields):
            raise SchemaError(f"field {name} is there already")
        if "at" in attributes:
            at = block.start + int(attributes["at"])
            if at < block.position:
                raise SchemaError(f"{name} at {attributes['at']} overlaps the field before it")
            block.position = at
        if attributes.get("role") not in (None, *ROLES):
            raise SchemaError(f"no role is called '{attributes['role']}'")
        for key, table in (("enum", self.enums), ("flags", self.flags)):
            if key in attributes and attributes[key] not in table:
                raise SchemaError(f"no {key} is called '{attributes[key]}'")
        field = Field(name, *self.base(type_, attributes), block.position, attributes)
        if "exponent" in attributes:
            mantissa = next((f for f in block.fields if f.name == attributes["exponent"]), None)
            if not mantissa or mantissa.kind != "INT" or field.size != 1:
                raise SchemaError("exponent= names an earlier integer, from an i8")
            mantissa.kind = "DECIMAL"
            mantissa.exponent_offset = field.offset - mantissa.offset
        block.fields.append(field)
        block.position = field.end
        if block.length is not None and field.end > block.end():
            raise SchemaError(f"{name} ends at {field.end - block.start}, past the block")

    def base(self, type_, attributes):
        """kind, size, signed"""
        if type_ == "char":
            return "CHAR", 1, False
        match = TEXT.match(type_)
        if match:
            return match[1].upper(), int(match[2]), False
        match = INTEGER.match(type_)
        if not match:
            raise SchemaError(f"no type is called '{type_}'")
        kind = "INT" if match[1] == "i" else "UINT"
        if "decimals" in attributes:
            kind = "DECIMAL"
        elif "time" in attributes:
            kind = TIMES[attributes["time"]]
        elif "flags" in attributes:
            kind = "FLAGS"
        return kind, int(match[2]) // 8, match[1] == "i"

    def check(self):
        if not self.messages:
            raise SchemaError("no messages")
        seen = set()
        for message in self.messages:
            if self.type_number(message) in seen:
                raise SchemaError(f"two messages of type {message.type}")
            seen.add(self.type_number(message))
        for dimension in self.dimensions.values():
            roles = [f.role for f in dimension.fields]
            if roles.count("block_length") != 1 or roles.count("count") != 1:
                raise SchemaError(f"dimension {dimension.name} needs a block_length and a count")

    # Questions ----------------------------------------------------------

    def header_role(self, role):
        return next((f for f in self.header.fields if f.role == role), None)

    def type_number(self, message):
        field = self.header_role("type")
        return ord(message.type) if field and field.kind == "CHAR" else int(message.type, 0)

    def raw(self, field, text):
        """A constant or null as the walker sees it: extended to 64 bits."""
        value = ord(text) if field.kind == "CHAR" and len(text) == 1 else int(text, 0)
        return value & 0xFFFFFFFFFFFFFFFF

    def automatic_value(self, field, message):
        if field.constant is not None:
            return self.raw(field, field.constant)
        return {"type": self.type_number(message), "size": message.end(),
                "block_length": message.end() - message.start, "version": self.version}[field.role]


def split(words):
    plain = [w for w in words if not re.match(r"[a-z_]+=.", w)]
    return plain, dict(w.split("=", 1) for w in words if re.match(r"[a-z_]+=.", w))


def allowed(attributes, known):
    for key in attributes:
        if key not in known:
            raise SchemaError(f"no attribute is called '{key}' here")


# C ----------------------------------------------------------------------


def c_char(value):
    return f"'{chr(value)}'" if 32 <= value < 127 and chr(value) not in "'\\" else str(value)


def c_type(field):
    if field.kind == "CHAR":
        return "char"
    bits = 64 if field.size == 6 else field.size * 8
    return f"{'int' if field.signed else 'uint'}{bits}_t"


def load(schema, field):
    if field.size == 1:
        cast = "" if c_type(field) == "uint8_t" else f"({c_type(field)})"
        return f"{cast}at[{field.offset}]"
    value = f"mdfh_load_{schema.order}{field.size * 8}({offset('at', field.offset)})"
    return f"({c_type(field)}){value}" if field.signed else value


def store(schema, field, value):
    if field.size == 1:
        cast = "" if field.kind == "UINT" or value[0] == "'" else "(uint8_t)"
        return f"out[{field.offset}] = {cast}{value};"
    bits = field.size * 8
    cast = f"(uint{64 if bits == 48 else bits}_t)" if field.signed else ""
    return f"mdfh_store_{schema.order}{bits}({offset('out', field.offset)}, {cast}{value});"


def offset(base, at):
    return f"{base} + {at}" if at else base


def members(fields):
    return [f for f in fields if f.on_wire and not f.automatic]


def accessors(schema, out, prefix, fields):
    for field in fields:
        if not field.on_wire:
            continue
        if field.is_text:
            result = "const char *" if field.kind == "ASCII" else "const uint8_t *"
            cast = "(const char *)" if field.kind == "ASCII" else ""
            at = offset("at", field.offset)
            body = f"{cast}({at})" if cast and field.offset else f"{cast}{at}"
        else:
            result = c_type(field) + " "
            body = load(schema, field)
        out.append(f"static inline {result}{prefix}_{field.name}(const uint8_t *at)\n"
                   f"{{\n\treturn {body};\n}}\n")


def struct(out, name, fields):
    out.append(f"struct {name} {{")
    for field in members(fields):
        if field.is_text:
            kind = "char" if field.kind == "ASCII" else "uint8_t"
            out.append(f"\t{kind} {field.name}[{field.size}];")
        else:
            out.append(f"\t{c_type(field)} {field.name};")
    if not members(fields):
        out.append("\tchar nothing; /* C has no empty structures */")
    out.append("};\n")


def encoder(schema, out, name, fields, end, message):
    """Writes the block from the structure; bytes that no field covers become zero."""
    out.append(f"static inline uint32_t {schema.prefix}_encode_{name[len(schema.prefix) + 1:]}"
               f"(uint8_t *out, const struct {name} *from)\n{{")
    position = 0
    if not members(fields):
        out.append("\t(void)from;")
    for field in [f for f in fields if f.on_wire]:
        if field.offset > position:
            out.append(f"\tmemset({offset('out', position)}, 0, {field.offset - position});")
        at = offset("out", field.offset)
        if field.automatic:
            value = schema.automatic_value(field, message)
            text = c_char(value) if field.kind == "CHAR" else f"{value}u"
            out.append("\t" + store(schema, field, text))
        elif field.is_text:
            out.append(f"\tmemcpy({at}, from->{field.name}, {field.size});")
        else:
            out.append("\t" + store(schema, field, f"from->{field.name}"))
        position = field.end
    if end > position:
        out.append(f"\tmemset({offset('out', position)}, 0, {end - position});")
    if not [f for f in fields if f.on_wire] and end == 0:
        out.append("\t(void)out;")
    out.append(f"\treturn {end};\n}}\n")


def decoder(schema, out, name, fields):
    out.append(f"static inline void {schema.prefix}_decode_{name[len(schema.prefix) + 1:]}"
               f"(const uint8_t *at, struct {name} *to)\n{{")
    for field in members(fields):
        at = offset("at", field.offset)
        if field.is_text:
            out.append(f"\tmemcpy(to->{field.name}, {at}, {field.size});")
        else:
            out.append(f"\tto->{field.name} = {load(schema, field)};")
    if not members(fields):
        out.append("\t(void)at;\n\tto->nothing = 0;")
    out.append("}\n")


def blocks(schema):
    """Everything with a structure: (C name, fields, bytes, message, index of the group or -1)"""
    for message in schema.messages:
        name = f"{schema.prefix}_{message.name}"
        yield name, schema.header.fields + message.fields, message.end(), message, -1
        for index, group in enumerate(message.groups):
            yield f"{name}_{group.name}", group.fields, group.end(), message, index


def enum_constants(schema, out, tables, bits):
    for name, (base, values) in tables.items():
        out.append("enum { /* " + name + (": bits */" if bits else " */"))
        for value, label in values:
            number = f"1 << {value}" if bits else c_char(value) if base == "char" else value
            out.append(f"\t{schema.prefix}_{name}_{label}".upper() + f" = {number},")
        out.append("};\n")


def make_header(schema):
    guard = f"MDFH_PROTOCOLS_{schema.prefix.upper()}_H"
    upper = schema.prefix.upper()
    source = os.path.basename(schema.path)
    out = [f"/* {schema.texts['title']}. Generated from protocols/{source}: change that.\n"
           " *\n"
           " * Accessors take the first byte of a message (of a group's entry, of a dimension) and\n"
           " * assume that the whole of it is there: compare with NAME_LENGTH first. Encoders\n"
           " * write NAME_LENGTH bytes and return that. Integers are as transmitted. */\n"
           f"#ifndef {guard}\n#define {guard}\n\n"
           '#include "core/bytes.h"\n#include "mdfh/schema.h"\n']
    text = schema.header_role("type") and schema.header_role("type").kind == "CHAR"
    if schema.header.fields:
        out.append(f"enum {schema.prefix}_type {{")
        for message in schema.messages:
            number = schema.type_number(message)
            out.append(f"\t{upper}_{message.name.upper()} = {c_char(number) if text else number},")
        out.append("};\n")
    out.append(f"enum {schema.prefix}_length {{")
    if schema.header.fields:
        out.append(f"\t{upper}_HEADER_LENGTH = {schema.header.end()},")
    for name, _, end, _, _ in blocks(schema):
        out.append(f"\t{name.upper()}_LENGTH = {end},")
    for dimension in schema.dimensions.values():
        out.append(f"\t{upper}_{dimension.name.upper()}_LENGTH = {dimension.end()},")
    out.append("};\n")
    enum_constants(schema, out, schema.enums, False)
    enum_constants(schema, out, schema.flags, True)
    if schema.header.fields:
        out.append("/* The header that every message has. */\n")
        accessors(schema, out, schema.prefix, schema.header.fields)
    size = schema.header_role("size")
    if size:
        out.append("/* For messages with groups: the encoder of the message knows the root block only. */\n"
                   f"static inline void {schema.prefix}_set_{size.name}(uint8_t *out, "
                   f"{c_type(size)} value)\n{{\n"
                   f"\t{store(schema, size, 'value')}\n}}\n")
    for dimension in schema.dimensions.values():
        name = f"{schema.prefix}_{dimension.name}"
        accessors(schema, out, name, dimension.fields)
        dimension_encoder(schema, out, name, dimension)
    for name, fields, end, message, group in blocks(schema):
        own = message.fields if group < 0 else fields
        title = message.title if group < 0 else f"{message.title}: entry of {message.groups[group].name}"
        out.append(f"/* {title} */\n")
        accessors(schema, out, name, own)
        struct(out, name, fields)
        encoder(schema, out, name, fields, end, message)
        decoder(schema, out, name, fields)
    out.append("struct mdfh_codecs;\n"
               f"extern const struct mdfh_schema mdfh_schema_{schema.prefix};\n"
               f"extern const struct mdfh_codecs mdfh_codecs_{schema.prefix};\n\n#endif")
    return "\n".join(out) + "\n"


def dimension_encoder(schema, out, name, dimension):
    """Group headers take the two numbers as arguments."""
    block = next(f for f in dimension.fields if f.role == "block_length")
    count = next(f for f in dimension.fields if f.role == "count")
    short = name[len(schema.prefix) + 1:]
    out.append(f"static inline uint32_t {schema.prefix}_encode_{short}(uint8_t *out, "
               f"{c_type(block)} block_length, {c_type(count)} count)\n{{\n"
               f"\tmemset(out, 0, {dimension.end()});\n"
               f"\t{store(schema, block, 'block_length')}\n"
               f"\t{store(schema, count, 'count')}\n"
               f"\treturn {dimension.end()};\n}}\n")


def field_entry(schema, field):
    parts = [f'.name = "{field.name}"', f".offset = {field.offset}",
             f".size = {field.size if field.on_wire else 0}", f".kind = MDFH_FIELD_{field.kind}"]
    flags = []
    attributes = field.attributes
    if field.signed:
        flags.append("MDFH_FIELD_SIGNED")
    if "null" in attributes:
        flags.append("MDFH_FIELD_NULLABLE")
        parts.append(f".null = {schema.raw(field, attributes['null'])}u")
    if field.constant is not None:
        flags.append("MDFH_FIELD_CONSTANT")
        parts.append(f".constant = {schema.raw(field, field.constant)}u")
    if flags:
        parts.append(f".flags = {' | '.join(flags)}")
    if "decimals" in attributes:
        parts.append(f".exponent = {-int(attributes['decimals'])}")
    if field.exponent_offset:
        parts.append(f".exponent_offset = {field.exponent_offset}")
    if field.since:
        parts.append(f".since = {field.since}")
    if field.role:
        parts.append(f".role = MDFH_ROLE_{field.role.upper()}")
    for key in ("enum", "flags"):
        if key in attributes:
            parts.append(f".names = &{key}_{attributes[key]}")
    return "    {" + ", ".join(parts) + "},"


def field_table(schema, out, name, fields):
    if fields:
        out.append(f"static const struct mdfh_field {name}[] = {{")
        out.extend(field_entry(schema, f) for f in fields)
        out.append("};\n")


def make_tables(schema):
    source = os.path.basename(schema.path)
    out = [f"/* {schema.texts['title']}: descriptor tables. Generated from protocols/{source}. */\n"
           f'#include "protocols/{schema.prefix}.h"\n\n#include "proto/codec.h"\n']
    for key, tables in (("enum", schema.enums), ("flags", schema.flags)):
        for name, (_, values) in tables.items():
            out.append(f"static const struct mdfh_name {key}_{name}_entries[] = {{")
            out.extend(f'    {{{value}, "{label}"}},' for value, label in values)
            out.append("};\n")
            out.append(f'static const struct mdfh_names {key}_{name} = '
                       f'{{"{name}", {key}_{name}_entries, {len(values)}}};\n')
    for name, dimension in schema.dimensions.items():
        field_table(schema, out, f"dimension_{name}_fields", dimension.fields)
        roles = [f.role for f in dimension.fields]
        out.append(f'static const struct mdfh_dimension dimension_{name} = {{"{name}", '
                   f"dimension_{name}_fields, {len(roles)}, {dimension.end()}, "
                   f"{roles.index('block_length')}, {roles.index('count')}, 0}};\n")
    for name, fields, _, _, _ in blocks(schema):
        field_table(schema, out, f"{name}_fields", fields)
    for message in schema.messages:
        name = f"{schema.prefix}_{message.name}"
        if message.groups:
            out.append(f"static const struct mdfh_group {name}_groups[] = {{")
            for group in message.groups:
                out.append(f'    {{"{group.name}", &dimension_{group.dimension.name}, '
                           f"{name}_{group.name}_fields, {len(group.fields)}, {group.end()}, "
                           f"{group.since}}},")
            out.append("};\n")
    out.append("static const struct mdfh_message messages[] = {")
    for message in schema.messages:
        name = f"{schema.prefix}_{message.name}"
        fields = schema.header.fields + message.fields
        oldest = max([f.end for f in fields if f.since == 0], default=0)
        if message.length is None and not any(f.since for f in fields):
            oldest = message.end()
        out.append("    {" + ", ".join([
            f".type = {schema.type_number(message)}", f'.name = "{message.name}"',
            f'.title = "{message.title}"', f'.section = "{message.section}"',
            f".fields = {name + '_fields' if fields else 'NULL'}",
            f".groups = {name + '_groups' if message.groups else 'NULL'}",
            f".field_count = {len(fields)}", f".group_count = {len(message.groups)}",
            f".length = {message.end()}", f".min_length = {oldest}"]) + "},")
    out.append("};\n")
    numbers = [schema.type_number(m) for m in schema.messages]
    out.append("static const uint8_t by_type[] = {")
    out.extend(f"    [{number}] = {index}," for index, number in enumerate(numbers, 1))
    out.append("};\n")
    if schema.session_values:
        values = ", ".join(f"{v}u" for v in schema.session_values)
        out.append(f"static const uint64_t session_values[] = {{{values}}};\n")

    def quoted(text):
        return f'"{text}"' if text else "NULL"

    def role(name):
        field = schema.header_role(name)
        index = schema.header.fields.index(field) if field else 0
        return f"&messages_header[{index}]" if field else "NULL"

    field_table(schema, out, "messages_header", schema.header.fields)
    text = schema.header_role("type") and schema.header_role("type").kind == "CHAR"
    out.append(f"const struct mdfh_schema mdfh_schema_{schema.prefix} = {{\n" + "\n".join(
        f"    .{key} = {value}," for key, value in (
            ("id", schema.id), ("version", schema.version),
            ("header_length", schema.header.end()), ("big_endian", int(schema.order == "be")),
            ("type_is_text", int(bool(text))), ("name", quoted(schema.name)),
            ("title", quoted(schema.texts["title"])), ("session", quoted(schema.texts["session"])),
            ("timezone", quoted(schema.texts["timezone"])),
            ("session_field", quoted(schema.session_field)),
            ("session_values", "session_values" if schema.session_values else "NULL"),
            ("session_value_count", len(schema.session_values)),
            ("message_count", len(schema.messages)), ("messages", "messages"),
            ("by_type", "by_type"), ("by_type_size", "sizeof(by_type)"),
            ("type_field", role("type")), ("block_length_field", role("block_length")),
            ("version_field", role("version")))) + "\n};\n")
    make_codecs(schema, out)
    return "\n".join(out)


def make_codecs(schema, out):
    for name, _, _, _, _ in blocks(schema):
        short = name[len(schema.prefix) + 1:]
        out.append(f"static uint32_t encode_{short}(uint8_t *to, const void *from)\n"
                   f"{{\n\treturn {schema.prefix}_encode_{short}(to, from);\n}}\n\n"
                   f"static void decode_{short}(const uint8_t *from, void *to)\n"
                   f"{{\n\t{schema.prefix}_decode_{short}(from, to);\n}}\n")
    out.append(f"static const struct mdfh_codec codecs[] = {{")
    for name, _, end, message, group in blocks(schema):
        short = name[len(schema.prefix) + 1:]
        index = schema.messages.index(message)
        target = f"&{schema.prefix}_{message.name}_groups[{group}]" if group >= 0 else "NULL"
        out.append(f"    {{&messages[{index}], {target}, {end}, sizeof(struct {name}), "
                   f"encode_{short}, decode_{short}}},")
    out.append("};\n")
    out.append(f"const struct mdfh_codecs mdfh_codecs_{schema.prefix} = "
               "{codecs, sizeof(codecs) / sizeof(codecs[0])};")
    out.append("")


# Seeds ------------------------------------------------------------------


def seed_block(schema, fields, end, message, values):
    data = bytearray(end)
    order = "big" if schema.order == "be" else "little"
    for number, field in enumerate(f for f in fields if f.on_wire):
        if field.is_text:
            raw = b"MDFH".ljust(field.size)[:field.size]
        else:
            if field.role in values:
                value = values[field.role]
            elif field.automatic:
                value = schema.automatic_value(field, message)
            elif "enum" in field.attributes:
                value = schema.enums[field.attributes["enum"]][1][0][0]
            elif field.kind == "CHAR":
                value = ord("A")
            else:
                value = number + 1
            raw = (value & (1 << 8 * field.size) - 1).to_bytes(field.size, order)
        data[field.offset:field.end] = raw
    return bytes(data)


def seed(schema, message):
    groups = b""
    for group in message.groups:
        entries = 2
        values = {"block_length": group.end(), "count": entries}
        groups += seed_block(schema, group.dimension.fields, group.dimension.end(), message, values)
        groups += entries * seed_block(schema, group.fields, group.end(), message, {})
    size = message.end() + len(groups)
    root = seed_block(schema, schema.header.fields + message.fields, message.end(), message,
                      {"size": size})
    return bytes([schema.id]) + root + groups


def main(schema_path, header_path, tables_path, seeds_path):
    schema = Schema(schema_path)
    with open(header_path, "w", encoding="utf-8") as stream:
        stream.write(make_header(schema))
    with open(tables_path, "w", encoding="utf-8") as stream:
        stream.write(make_tables(schema))
    folder = os.path.join(os.path.dirname(seeds_path), "seeds")
    os.makedirs(folder, exist_ok=True)
    names = []
    for message in schema.messages:
        names.append(f"{schema.prefix}-{message.name}")
        with open(os.path.join(folder, names[-1]), "wb") as stream:
            stream.write(seed(schema, message))
    with open(seeds_path, "w", encoding="utf-8") as stream:
        stream.write("\n".join(names) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
