# Isthmus in a container: no privileges, no kernel module, nothing of the host but a port. See docs/container.md.
#
# BASE is Debian with Python 3.11 or newer to be had from its packages. Wheels that lie in wheels/ are taken from there;
# with PIP_NO_INDEX=1 nothing else is looked for.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends binutils ca-certificates python3 python3-pip python3-venv
COPY requirements wheel[s] /inputs/
ARG PIP_NO_INDEX=
ENV PIP_NO_INDEX=${PIP_NO_INDEX} PIP_FIND_LINKS=/inputs PIP_NO_COMPILE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv /opt/tools \
    && /opt/tools/bin/pip install --require-hashes -r /inputs/build.txt \
    && python3 -m venv --without-pip /opt/isthmus \
    && /opt/tools/bin/pip --python /opt/isthmus/bin/python install --require-hashes -r /inputs/runtime.txt
WORKDIR /source
COPY . .
RUN /opt/tools/bin/python -m hatchling build -t wheel -d /tmp/wheel \
    && /opt/tools/bin/pip --python /opt/isthmus/bin/python install --no-deps --no-index /tmp/wheel/*.whl
# Symbols of extension modules and the sources that they were made from are half of the packages' size.
RUN find /opt/isthmus -name '*.so*' -exec strip --strip-unneeded {} + \
    && find /opt/isthmus \( -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' -o -name '*.pyi' \) -delete \
    && /opt/isthmus/bin/python -m compileall -q /opt/isthmus/lib

FROM ${BASE} AS system
RUN apt-get update && apt-get install -y --no-install-recommends python3 && apt-get clean \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/debconf/*-old /var/lib/dpkg/*-old /var/log/* \
        /usr/share/doc/* /usr/share/man/* /usr/share/info/* /usr/share/locale/* /usr/share/zoneinfo/right \
        /usr/lib/*-linux-gnu/gconv /usr/lib/python3.*/test /usr/lib/python3.*/pydoc_data \
    && groupadd --system --gid 3260 isthmus \
    && useradd --system --uid 3260 --gid isthmus --home-dir /var/lib/isthmus --shell /usr/sbin/nologin isthmus \
    && mkdir -p /var/lib/isthmus /srv/iscsi
COPY --from=build /opt/isthmus /opt/isthmus

# One layer: what the base has and nobody needs here is really gone.
FROM scratch
COPY --from=system / /
ENV PATH=/opt/isthmus/bin:/usr/sbin:/usr/bin LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 \
    ISTHMUS_STATE=/var/lib/isthmus ISTHMUS_RUN=/run/isthmus
RUN chown isthmus:isthmus /var/lib/isthmus /srv/iscsi
USER 3260:3260
WORKDIR /srv/iscsi
VOLUME ["/var/lib/isthmus", "/srv/iscsi"]
EXPOSE 3260
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["isthmus", "status", "--json"]
ENTRYPOINT ["isthmus"]
CMD ["daemon"]
