# Snakemake (--sdm conda) runs this in the new environment, from the folder that snakemake was called in: the clone.
pip install --no-deps .
