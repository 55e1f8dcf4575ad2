# The job's folder is mounted at /data:
#   docker run --rm -v "$PWD":/data -v "$PWD"/gemini.key:/run/secrets/gemini.key:ro batchrun run job.yaml
FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv --without-pip /opt/batchrun
COPY pyproject.toml README.md LICENSE ./
COPY batchrun ./batchrun
RUN pip --python /opt/batchrun/bin/python install --no-cache-dir .

FROM python:3.13-slim
# 1000 is the first user's id on most Linux machines; others add --user "$(id -u):$(id -g)"
RUN useradd --uid 1000 --create-home batchrun && install --directory --owner batchrun /data
COPY --from=build /opt/batchrun /opt/batchrun
ENV PATH=/opt/batchrun/bin:$PATH
USER 1000
VOLUME /data
WORKDIR /data
# The list of uploaded files outlives the container; the key is a file, so that no environment shows it.
ENV BATCHRUN_STATE=/data/.batchrun GEMINI_API_KEY_FILE=/run/secrets/gemini.key
STOPSIGNAL SIGTERM
# A health check belongs to what runs for ever, `schedule run` (deploy/compose.yaml): one for all would call a `run` ill.
ENTRYPOINT ["batchrun"]
CMD ["--help"]
