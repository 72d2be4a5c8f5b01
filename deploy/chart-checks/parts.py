"""A throwaway PostgreSQL with the roles that the chart expects, and a throwaway NATS server with JetStream."""

import os
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path

from places import ROOT


def free_port():
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))
        return probe.getsockname()[1]


def wait_for(port, seconds=30):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"smoke: nobody listens on {port}")


class Postgres:
    """Passwords are asked of everybody; the services' roles may do nothing until the migration grants it."""

    def __init__(self, directory, services):
        bins = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
        if not bins:
            raise SystemExit("smoke: install postgresql")
        self.bin, self.data, self.port = bins[-1].parent, directory / "pg", free_port()
        self.passwords = {name: secrets.token_hex(16) for name in ["superuser", "migrator", *services]}
        self.data.mkdir()
        told = directory / "pg-password"
        told.write_text(self.passwords["superuser"])
        if os.getuid() == 0:
            shutil.chown(self.data, "postgres")
            shutil.chown(told, "postgres")
        self.run("initdb", "-D", self.data, "-U", "superuser", "--auth=scram-sha-256", f"--pwfile={told}", "--encoding=UTF8", "--locale=C")
        with open(self.data / "pg_hba.conf", "a") as rules:
            rules.write("host all all all scram-sha-256\n")
        options = f"-p {self.port} -c listen_addresses=* -c unix_socket_directories='' -c max_connections=400 -c fsync=off -c full_page_writes=off"
        self.run("pg_ctl", "-D", self.data, "-s", "-w", "-l", self.data / "log", "-o", options, "start")
        self.sql("CREATE ROLE tahuka_migrator LOGIN CREATEROLE CREATEDB PASSWORD '%s'" % self.passwords["migrator"])
        self.sql("CREATE DATABASE tahuka OWNER tahuka_migrator")
        for service in services:
            self.sql(f"CREATE ROLE tahuka_{service}_login LOGIN PASSWORD '{self.passwords[service]}'")

    def run(self, program, *arguments):
        command = [str(self.bin / program), *(str(a) for a in arguments)]
        if os.getuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        done = subprocess.run(command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise SystemExit(f"smoke: {program}: {done.stderr}")

    def url(self, role, password, host, database="tahuka"):
        return f"postgres://{role}:{self.passwords[password]}@{host}:{self.port}/{database}"

    def sql(self, statement, role="superuser", password="superuser", database="postgres"):
        """What psql answers, and whether it did."""
        command = [self.bin / "psql", "-tAqX", "-v", "ON_ERROR_STOP=1", self.url(role, password, "127.0.0.1", database), "-c", statement]
        done = subprocess.run(command, capture_output=True, text=True)
        if role == "superuser" and done.returncode:
            raise SystemExit(f"smoke: {statement}: {done.stderr}")
        return done.returncode == 0, (done.stdout + done.stderr).strip()

    def stop(self):
        self.run("pg_ctl", "-D", self.data, "-m", "immediate", "-s", "stop")


class Nats:
    def __init__(self, directory):
        server = str(ROOT / "target" / "parts" / "nats-server")
        self.port = free_port()
        config = directory / "nats.conf"
        config.write_text(f'port: {self.port}\njetstream {{ store_dir: "{directory}/nats" }}\n')
        self.process = subprocess.Popen([server, "-c", str(config)], stdout=open(directory / "nats.log", "w"), stderr=subprocess.STDOUT)
        wait_for(self.port)

    def url(self, host):
        return f"nats://{host}:{self.port}"

    def stop(self):
        self.process.terminate()
        self.process.wait()
