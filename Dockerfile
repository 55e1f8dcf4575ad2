# The job's folder is mounted at /data: docker run --rm -e GEMINI_API_KEY -v "$PWD":/data batchrun run job.yaml
FROM python:3.13-slim

WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY batchrun ./batchrun
RUN pip install --no-cache-dir .

# 1000 is the first user's id on most Linux machines; others add --user "$(id -u):$(id -g)"
RUN useradd --uid 1000 --create-home batchrun && install --directory --owner batchrun /data
USER batchrun

VOLUME /data
WORKDIR /data
# the list of uploaded files outlives the container
ENV BATCHRUN_STATE=/data/.batchrun
ENTRYPOINT ["batchrun"]
CMD ["--help"]
