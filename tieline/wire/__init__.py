"""What Tieline's processes exchange with each other, with clients and with NATS. Pure: msgspec alone.

Clients: what they send (`envelope`), what they are sent (`replies`), error and close codes (`codes`).
Processes: messages (`internal`), names of frames (`digests`), subjects and keys (`subjects`), what each
service may publish and subscribe to (`permissions`), JetStream's own words (`jetstream`,
`jetstream_headers`, `jetstream_answers`). Both: ids (`ids`), the tokens that resume sessions
(`resume_tokens`), and numbers that several processes must agree on (`limits`). Backends: what has
happened (`events`).
"""
